"""Between the user's samples and what a graph or a file takes: layouts and integers.

Samples come in the layout of the *source* model. The graph may have turned its inputs (NCHW to
NHWC), TFLite files follow the graph and ONNX files the source, and either may take integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from edgepack.data import InputSpec, Layout
from edgepack.ir import Array, DType, Graph, QuantParams, Value

_MAX_IMAGE_CHANNELS = 4  # a rank-4 input with more is a feature map, not an image
Side = Literal["graph", "source"]
SIDE_OF: Mapping[str, Side] = {"tflite": "graph", "onnx": "source"}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: `shape` in the source's layout, `perm` turns that into the graph's.

    `dtype` is what the user gives or gets; where the file has integers for real numbers, `storage`
    is their type and `scale` and `zero_point` their parameters.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    perm: tuple[int, ...] | None = None
    storage: str | None = None
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "perm", None if self.perm is None else tuple(self.perm))

    def to_graph(self, array: Array) -> Array:
        """An array in the source's layout, turned into the graph's."""
        return array if self.perm is None else np.ascontiguousarray(array.transpose(self.perm))

    def to_source(self, array: Array) -> Array:
        """An array in the graph's layout, turned into the source's."""
        return array if self.perm is None else array.transpose(np.argsort(self.perm))

    def encode(self, array: Array) -> Array:
        """Real numbers as the file takes them; integers that it takes as such stay."""
        quant = self._quant()
        if quant is None or self.storage is None:
            return array.astype(self.dtype, copy=False)
        return quant.quantize(array, DType(self.storage))

    def decode(self, array: Array) -> Array:
        """What the file gave, as real numbers."""
        quant = self._quant()
        return array if quant is None else quant.dequantize(array)

    def _quant(self) -> QuantParams | None:
        if self.scale is None or self.zero_point is None:
            return None
        return QuantParams.per_tensor(self.scale, self.zero_point)


@dataclass(frozen=True, slots=True)
class Interface:
    """The inputs and outputs of a model, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @classmethod
    def of(cls, graph: Graph) -> Interface:
        """The interface of a graph; real ports are float32 even where the graph has integers."""
        perms_in, perms_out = graph.source.input_perms, graph.source.output_perms
        return cls(
            tuple(_port(v, perms_in) for v in graph.inputs),
            tuple(_port(v, perms_out) for v in graph.outputs),
        )

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Plain lists, for the device's manifest."""
        return {
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[Mapping[str, Any]]]) -> Interface:
        """The reverse of `to_dict`. Raises KeyError or TypeError when something is missing."""
        return cls(
            tuple(Port(**entry) for entry in data["inputs"]),
            tuple(Port(**entry) for entry in data["outputs"]),
        )

    def specs(self, value_range: tuple[float, float] | None = None) -> list[InputSpec]:
        """What samples for this model look like."""
        return [
            InputSpec(
                port.name,
                port.shape,
                layout=_layout(port),
                dtype=port.dtype,
                value_range=value_range if port.dtype == "float32" else None,
                batched=bool(port.shape) and port.shape[0] == 1,
            )
            for port in self.inputs
        ]

    def feed(self, sample: Mapping[str, Array], side: Side) -> list[Array]:
        """The sample's real arrays in the order of the inputs, in the layout of `side`."""
        arrays = [sample[port.name] for port in self.inputs]
        if side == "source":
            return arrays
        return [port.to_graph(a) for port, a in zip(self.inputs, arrays, strict=True)]

    def encoded(self, sample: Mapping[str, Array], side: Side) -> list[Array]:
        """Like `feed`, as integers where the file takes integers."""
        arrays = self.feed(sample, side)
        return [port.encode(a) for port, a in zip(self.inputs, arrays, strict=True)]

    def decoded(self, outputs: Sequence[Array], side: Side) -> list[Array]:
        """What a file of layout `side` gave, as real numbers in the source's layout."""
        real = [port.decode(a) for port, a in zip(self.outputs, outputs, strict=True)]
        if side == "source":
            return real
        return [port.to_source(a) for port, a in zip(self.outputs, real, strict=True)]


def _port(value: Value, perms: Mapping[str, tuple[int, ...]]) -> Port:
    perm = perms.get(value.name)
    shape = value.shape if perm is None else tuple(value.shape[a] for a in np.argsort(perm))
    if value.quant is None:
        return Port(value.name, shape, str(value.dtype), perm)
    scale, zero_point = float(value.quant.scale[0]), int(value.quant.zero_point[0])
    return Port(value.name, shape, "float32", perm, str(value.dtype), scale, zero_point)


def _layout(port: Port) -> Layout | None:
    if len(port.shape) != 4:
        return None
    if port.perm == (0, 2, 3, 1):
        return "nchw"
    return "nhwc" if port.shape[3] <= _MAX_IMAGE_CHANNELS else None
