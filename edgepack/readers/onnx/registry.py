"""The table of reading functions: one per ONNX operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgepack.errors import InternalError

if TYPE_CHECKING:
    from edgepack.ir import Value
    from edgepack.readers.onnx.context import Call, Context

# A reading function takes the builder and the ONNX node, adds IR nodes, and returns the value of
# the first output, or one value per output (None for one that it does not make).
Reading = Callable[["Context", "Call"], "Value | Sequence[Value | None]"]

READS: dict[str, Reading] = {}


def reads(*ops: str) -> Callable[[Reading], Reading]:
    """Decorator: the function that reads these operators; `domain::Op` outside ONNX's own."""

    def register(function: Reading) -> Reading:
        for op in ops:
            if op in READS:
                raise InternalError(f"{op} has two reading functions")
            READS[op] = function
        return function

    return register


def key(domain: str, op: str) -> str:
    """The table's key of an operator."""
    return op if domain in ("", "ai.onnx") else f"{domain}::{op}"
