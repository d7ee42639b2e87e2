"""Between the user's samples and what a graph or a file takes: layouts and integers.

Samples come in the layout of the *source* model. The graph may have turned its inputs (NCHW to
NHWC); TFLite files follow the graph, ONNX files follow the source unless they are told to follow
the graph too, and either may take integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from edgepack.data import InputSpec, Layout
from edgepack.ir import Array, DType, Graph, QuantParams, Value
from edgepack.ir.graph import Stream

_MAX_IMAGE_CHANNELS = 4  # a rank-4 input with more is a feature map, not an image
_SOURCE_LAYOUT: Mapping[tuple[int, ...], Layout] = {(0, 2, 3, 1): "nchw", (0, 3, 1, 2): "nhwc"}
Side = Literal["graph", "source"]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: `shape` in the source's layout, `perm` turns that into the graph's.

    `dtype` is what the user gives or gets; where the file has integers for real numbers, `storage`
    is their type and `scale` and `zero_point` their parameters. `step` is the least difference that
    values can have: the scale, also that of integers which the file turns into real numbers.
    `calibrated` is the range of real inputs that the file itself turns into integers. `reach` is
    how many steps one step of what is before a final softmax may become: runtimes that round
    otherwise differ by one there.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    perm: tuple[int, ...] | None = None
    storage: str | None = None
    scale: float | None = None
    zero_point: int | None = None
    step: float | None = None
    calibrated: tuple[float, float] | None = None
    reach: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "perm", None if self.perm is None else tuple(self.perm))
        if self.calibrated is not None:
            object.__setattr__(self, "calibrated", tuple(self.calibrated))

    def to_graph(self, array: Array) -> Array:
        """An array in the source's layout, turned into the graph's."""
        return array if self.perm is None else np.ascontiguousarray(array.transpose(self.perm))

    def to_source(self, array: Array) -> Array:
        """An array in the graph's layout, turned into the source's."""
        return array if self.perm is None else array.transpose(np.argsort(self.perm))

    @property
    def span(self) -> tuple[float, float] | None:
        """The real numbers that integers stand for, rounding included; None where none do."""
        quant = self._quant()
        if quant is None or self.storage is None:
            return self.calibrated
        return _span(quant, DType(self.storage))

    @property
    def layout(self) -> Layout | None:
        """Where the channels of an image are in the source's layout; None for other inputs."""
        if len(self.shape) != 4:
            return None
        if self.perm is not None:
            return _SOURCE_LAYOUT.get(self.perm)
        if self.shape[3] <= _MAX_IMAGE_CHANNELS:
            return "nhwc"
        return "nchw" if self.shape[1] <= _MAX_IMAGE_CHANNELS else None

    def shape_on(self, side: Side) -> tuple[int, ...]:
        """The shape in the layout of `side`."""
        if side == "source" or self.perm is None:
            return self.shape
        return tuple(self.shape[axis] for axis in self.perm)

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
    """The inputs and outputs of a model, in order; `onnx` is the layout that ONNX files have.

    `stream` is there when samples are longer than the first input and go in piece by piece, the
    past being carried from call to call. `newest` cuts outputs, in the source's layout, down to the
    last frames, [(axis, frames) or None for each]: as many as a stream gives in its last call.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    onnx: Side = "source"
    stream: Stream | None = None
    newest: tuple[tuple[int, int] | None, ...] = ()

    @classmethod
    def of(cls, graph: Graph, onnx: Side = "source") -> Interface:
        """The interface of a graph; real ports are float32 even where the graph has integers."""
        perms_in, perms_out = graph.source.input_perms, graph.source.output_perms
        return cls(
            tuple(_port(v, perms_in) for v in graph.inputs),
            tuple(_port(v, perms_out) for v in graph.outputs),
            onnx,
            graph.source.stream,
        )

    def side_of(self, key: str) -> Side:
        """Whose layout a file has: `key` is tflite, tflm or onnx."""
        return self.onnx if key == "onnx" else "graph"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the device's manifest."""
        return {
            "sides": {key: self.side_of(key) for key in ("tflite", "onnx")},
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "stream": None if self.stream is None else asdict(self.stream),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interface:
        """The reverse of `to_dict`. Raises KeyError or TypeError when something is missing."""
        return cls(
            tuple(Port(**entry) for entry in data["inputs"]),
            tuple(Port(**entry) for entry in data["outputs"]),
            data["sides"]["onnx"],
            None if data.get("stream") is None else Stream(**data["stream"]),
        )

    @property
    def results(self) -> tuple[Port, ...]:
        """The outputs without those that go back in."""
        return self.outputs[: len(self.outputs) - self._states]

    @property
    def _states(self) -> int:
        return 0 if self.stream is None else self.stream.states

    def _time_axis(self, port: Port, axis: int) -> int:
        """A dimension of the graph in the source's layout."""
        return axis if port.perm is None else port.perm[axis]

    def as_streamed(self, other: Interface) -> Interface:
        """The same with its outputs cut down to what `other`, if it is a stream, gives."""
        if other.stream is None:
            return self
        axes = [
            None if axis is None else self._time_axis(port, axis)
            for port, axis in zip(other.results, other.stream.results, strict=True)
        ]
        newest = tuple(
            None if axis is None else (axis, port.shape[axis])
            for port, axis in zip(other.results, axes, strict=True)
        )
        return replace(self, newest=newest)

    def pieces(self, sample: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        """The new frames of each call, where the sample is a whole window; else the sample."""
        stream, port = self.stream, self.inputs[0]
        if stream is None or not self.is_window(sample):
            yield sample
            return
        axis, array = self._time_axis(port, stream.axis), sample[port.name]
        for part in np.split(array, stream.window // port.shape[axis], axis):
            yield {**sample, port.name: part}

    def is_window(self, sample: Mapping[str, Array]) -> bool:
        """Whether the sample goes through a stream: it is longer than one call takes."""
        return self.stream is not None and sample[self.inputs[0].name].shape != self.inputs[0].shape

    def start(self) -> dict[str, Array]:
        """The past with which a stream begins: zeros, real ones, by name."""
        states = self.inputs[len(self.inputs) - self._states :]
        return {port.name: np.zeros(port.shape, port.dtype) for port in states}

    def specs(self, value_range: tuple[float, float] | None = None) -> list[InputSpec]:
        """What samples for this model look like: whole windows for streams."""
        ports = self.inputs[: len(self.inputs) - self._states]
        return [
            InputSpec(
                port.name,
                port.shape,
                layout=port.layout,
                dtype=port.dtype,
                value_range=value_range if port.dtype == "float32" else None,
                batched=bool(port.shape) and port.shape[0] == 1,
            )
            for port in map(self._whole, ports)
        ]

    def _whole(self, port: Port) -> Port:
        """The port, as long as a sample is."""
        if self.stream is None:
            return port
        axis = self._time_axis(port, self.stream.axis)
        shape = (*port.shape[:axis], self.stream.window, *port.shape[axis + 1 :])
        return replace(port, shape=shape)

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
        """What a file of layout `side` gave, as real numbers in the source's layout.

        Of streams, without the past that goes back in.
        """
        ports = self.results
        real = [port.decode(a) for port, a in zip(ports, outputs[: len(ports)], strict=True)]
        if side == "graph":
            real = [port.to_source(a) for port, a in zip(ports, real, strict=True)]
        for index, cut in enumerate(self.newest):
            if cut is not None:
                real[index] = np.take(real[index], range(-cut[1], 0), cut[0])
        return real


def layout_notes(interface: Interface, keys: Sequence[str]) -> list[str]:
    """One sentence per image input: the layout that each file takes it in."""
    notes: list[str] = []
    if interface.stream is not None:
        return notes  # frames are no images
    for port in interface.inputs:
        if port.layout is not None:
            taken = [f"{_described(port, interface.side_of(key))} in model.{key}" for key in keys]
            notes.append(f"input {port.name} is {', '.join(taken)}")
    return notes


def _described(port: Port, side: Side) -> str:
    turned = side == "graph" and port.perm is not None
    other = {"nhwc": "NCHW", "nchw": "NHWC"}
    layout = other[port.layout or ""] if turned else (port.layout or "").upper()
    return f"{layout} {list(port.shape_on(side))}"


def _port(value: Value, perms: Mapping[str, tuple[int, ...]]) -> Port:
    perm = perms.get(value.name)
    shape = value.shape if perm is None else tuple(value.shape[a] for a in np.argsort(perm))
    if value.quant is None:
        step, calibrated = _step_behind(value), _calibrated(value)
        return Port(
            value.name, shape, str(value.dtype), perm,
            step=step, calibrated=calibrated, reach=_reach(value),
        )  # fmt: skip
    scale, zero_point = float(value.quant.scale[0]), int(value.quant.zero_point[0])
    return Port(
        value.name, shape, "float32", perm, str(value.dtype), scale, zero_point, scale,
        reach=_reach(value),
    )  # fmt: skip


_MOVES = ("Dequantize", "Quantize", "Transpose", "Reshape")


def _reach(value: Value) -> int:
    """Steps of a softmax's output that a step of every one of its inputs may make; 1 elsewhere.

    |dp_i| <= sum_j |dp_i / dx_j| s = 2 p_i (1 - p_i) s <= s / 2 for inputs of step s.
    """
    node = value.producer
    while node is not None and node.op in _MOVES:
        node = node.input(0).producer
    if node is None or node.op != "Softmax":
        return 1
    before, after = node.input(0).quant, node.output.quant
    if before is None or after is None:
        return 1
    change = float(node.attrs["beta"]) * float(before.scale[0]) / 2
    return max(1, math.ceil(change / float(after.scale[0])))


def _step_behind(value: Value) -> float | None:
    """The scale of what a Dequantize makes `value` of, which only moves may follow."""
    node = value.producer
    while node is not None and node.op in ("Dequantize", "Transpose", "Reshape"):
        inner = node.input(0)
        if inner.quant is not None:
            return float(inner.quant.scale[0])
        node = inner.producer
    return None


def _calibrated(value: Value) -> tuple[float, float] | None:
    """The range of a real input that is quantized before anything else."""
    made = [node.output for node in value.users if node.op == "Quantize"]
    if not made or made[0].quant is None:
        return None
    return _span(made[0].quant, made[0].dtype)


def _span(quant: QuantParams, dtype: DType) -> tuple[float, float]:
    low, high = (quant.dequantize(np.asarray([limit], dtype.numpy)) for limit in dtype.limits)
    half = float(quant.scale[0]) / 2
    return float(low[0]) - half, float(high[0]) + half
