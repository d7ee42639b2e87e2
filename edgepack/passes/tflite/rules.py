"""The tables of TFLite's rules."""

from __future__ import annotations

from typing import Final

from edgepack.passes.rules import Rule, Rules
from edgepack.registry import Registry

RULES: Final = Rules()
ALTERNATIVES: Final[Registry[Rule]] = Registry("alternatives")

legalizes = RULES
spells_out = ALTERNATIVES  # rules for runtimes that lack the operator's builtin
