"""The protocol of every runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgepack.errors import BadModel
from edgepack.ir import Array, DType, QuantParams


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output as the runtime declares it; `quant` is None for real numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: QuantParams | None = None


class Runtime(Protocol):
    """A model loaded in some runtime.

    `run` takes one array per input, in the declared shapes and dtypes (already quantized where the
    input is integer), and returns one array per output, in the declared order.
    """

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """What `run` takes."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """What `run` returns."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; states of recurrent operators start from zero."""


def dtype_named(name: str) -> DType:
    """The element type that numpy or a runtime calls `name`. Raises BadModel for strings."""
    try:
        return DType(name)
    except ValueError as problem:
        raise BadModel(f"inputs and outputs of type {name} are not supported") from problem
