"""The table of reading functions: one per ONNX operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgepack.registry import Registry

if TYPE_CHECKING:
    from edgepack.ir import Value
    from edgepack.readers.onnx.context import Call, Context

# A reading function takes the builder and the ONNX node, adds IR nodes, and returns the value of
# the first output, or one value per output (None for one that it does not make).
Reading = Callable[["Context", "Call"], "Value | Sequence[Value | None]"]

READS: Registry[Reading] = Registry("reading functions")

reads = READS  # the names are ONNX's own operators, or `domain::Op`


def key(domain: str, op: str) -> str:
    """The table's key of an operator."""
    return op if domain in ("", "ai.onnx") else f"{domain}::{op}"
