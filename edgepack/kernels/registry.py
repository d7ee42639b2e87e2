"""The tables of reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgepack.errors import InternalError

# A kernel takes the node and one array per input (None where left out) and returns the output, or a
# tuple of them. Real kernels see real numbers; quantized ones see integers and read the parameters
# from `node.input(i).quant` and `node.output.quant`.
Kernel = Callable[..., Any]

REAL: dict[str, Kernel] = {}
QUANTIZED: dict[str, Kernel] = {}
HYBRID: dict[str, Kernel] = {}


def real(*ops: str) -> Callable[[Kernel], Kernel]:
    """Decorator: the kernel for real numbers (and for integers that are not quantized)."""
    return _register(REAL, ops)


def quantized(*ops: str) -> Callable[[Kernel], Kernel]:
    """Decorator: the kernel for quantized values."""
    return _register(QUANTIZED, ops)


def hybrid(*ops: str) -> Callable[[Kernel], Kernel]:
    """Decorator: the kernel for real activations and 8-bit weights, computed in whole numbers."""
    return _register(HYBRID, ops)


def _register(table: dict[str, Kernel], ops: tuple[str, ...]) -> Callable[[Kernel], Kernel]:
    def register(function: Kernel) -> Kernel:
        for op in ops:
            if op in table:
                raise InternalError(f"{op} has two reference kernels")
            table[op] = function
        return function

    return register
