"""The tables of reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgepack.registry import Registry

# A kernel takes the node and one array per input (None where left out) and returns the output, or a
# tuple of them. Real kernels see real numbers; quantized ones see integers and read the parameters
# from `node.input(i).quant` and `node.output.quant`.
Kernel = Callable[..., Any]

REAL: Registry[Kernel] = Registry("reference kernels")
QUANTIZED: Registry[Kernel] = Registry("quantized kernels")
HYBRID: Registry[Kernel] = Registry("hybrid kernels")

real = REAL  # for real numbers, and for integers that are not quantized
quantized = QUANTIZED
hybrid = HYBRID  # for real activations and 8-bit weights, computed in whole numbers
