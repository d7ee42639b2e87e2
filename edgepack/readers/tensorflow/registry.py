"""The table of TensorFlow graph operators that the reader knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgepack.registry import Registry

# Takes a Call; returns an item (see `call`), or a sequence of them for several outputs.
Read = Callable[[Any], Any]

READS: Registry[Read] = Registry("readers")

reads = READS  # functions of operators that depend on their inputs alone
