"""The table of ONNX's rules."""

from __future__ import annotations

from typing import Final

from edgepack.passes.rules import Rules

RULES: Final = Rules()

legalizes = RULES
