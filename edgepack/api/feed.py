"""Between the user's samples and what a graph or a file takes: layouts and integers.

Samples come in the layout of the *source* model. The graph may have turned its inputs (NCHW to
NHWC; `graph.source.input_perms` says how), and a quantized file may take integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgepack.data import InputSpec, Layout
from edgepack.ir import Array, Graph, Value
from edgepack.run.base import TensorInfo

_MAX_IMAGE_CHANNELS = 4  # a rank-4 input with more is a feature map, not an image
Side = Literal["graph", "source"]


def input_specs(graph: Graph, value_range: tuple[float, float] | None = None) -> list[InputSpec]:
    """What samples for this graph look like: the source's shapes and layouts."""
    return [_spec(graph, value, value_range) for value in graph.inputs]


def feed(graph: Graph, sample: Mapping[str, Array], side: Side = "graph") -> list[Array]:
    """The sample's arrays in the order of the graph's inputs.

    `side` is the layout wanted: the graph's (TFLite files) or the source's (ONNX files).
    """
    perms = graph.source.input_perms if side == "graph" else {}
    return [
        np.ascontiguousarray(sample[v.name].transpose(perms[v.name]))
        if v.name in perms
        else sample[v.name]
        for v in graph.inputs
    ]


def as_declared(arrays: Sequence[Array], infos: Sequence[TensorInfo]) -> list[Array]:
    """Real arrays as a runtime takes them: quantized where its input is an integer."""
    return [
        info.quant.quantize(array, info.dtype)
        if info.quant is not None and array.dtype.kind == "f"
        else array.astype(info.dtype.numpy, copy=False)
        for array, info in zip(arrays, infos, strict=True)
    ]


def as_real(arrays: Sequence[Array], infos: Sequence[TensorInfo]) -> list[Array]:
    """What a runtime returned, as real numbers: dequantized where its output is an integer."""
    return [
        info.quant.dequantize(array) if info.quant is not None else array
        for array, info in zip(arrays, infos, strict=True)
    ]


def to_source_layout(graph: Graph, outputs: Sequence[Array]) -> list[Array]:
    """Outputs in the graph's layout turned back into the source's."""
    perms = graph.source.output_perms
    return [
        array.transpose(np.argsort(perms[v.name])) if v.name in perms else array
        for v, array in zip(graph.outputs, outputs, strict=True)
    ]


def source_shape(graph: Graph, value: Value) -> tuple[int, ...]:
    """The shape that an input has in the source model."""
    perm = graph.source.input_perms.get(value.name)
    if perm is None:
        return value.shape
    return tuple(value.shape[axis] for axis in np.argsort(perm))


def _spec(graph: Graph, value: Value, value_range: tuple[float, float] | None) -> InputSpec:
    shape = source_shape(graph, value)
    real = value.dtype.is_float or value.quant is not None
    return InputSpec(
        value.name,
        shape,
        layout=_layout(graph, value, shape),
        dtype="float32" if real else str(value.dtype),
        value_range=value_range if real else None,
        batched=bool(shape) and shape[0] == 1,
    )


def _layout(graph: Graph, value: Value, shape: tuple[int, ...]) -> Layout | None:
    if len(shape) != 4:
        return None
    if graph.source.input_perms.get(value.name) == (0, 2, 3, 1):
        return "nchw"
    return "nhwc" if shape[3] <= _MAX_IMAGE_CHANNELS else None
