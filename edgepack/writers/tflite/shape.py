"""Operators that move elements without computing."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Node, Value
from edgepack.schema import tflite as fmt
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers, require


@lowers("Reshape")
def reshape(node: Node, out: TFLiteBuilder) -> None:
    """RESHAPE, the shape as a tensor and as an option."""
    shape = np.array(node.attrs["shape"], np.int32)
    inputs = [node.input(0), out.constant(f"{node.name}/shape", shape)]
    out.emit("RESHAPE", node, inputs=inputs, options="ReshapeOptions", new_shape=shape)


# IR operator: (TFLite builtin, its option table or None, the attribute that becomes input 1)
_BY_VECTOR: Final[dict[str, tuple[str, str | None, str]]] = {
    "Transpose": ("TRANSPOSE", "TransposeOptions", "perm"),
    "Tile": ("TILE", "TileOptions", "multiples"),
    "BroadcastTo": ("BROADCAST_TO", "BroadcastToOptions", "shape"),
    "Reverse": ("REVERSE_V2", "ReverseV2Options", "axes"),
}


@lowers(*_BY_VECTOR)
def by_vector(node: Node, out: TFLiteBuilder) -> None:
    """Operators whose one attribute is an int32 vector.

    Legal forms: not rank 0; TRANSPOSE up to rank 6; TILE and BROADCAST_TO up to 8; REVERSE_V2 of
    one axis, since TensorFlow Lite 2.14 loads two and reverses one.
    """
    require(node, node.output.rank > 0, "rank 0")
    if node.op == "Reverse":
        require(node, len(node.attrs["axes"]) == 1, f"axes {node.attrs['axes']}")
    builtin, options, key = _BY_VECTOR[node.op]
    vector = out.constant(f"{node.name}/{key}", node.attrs[key])
    out.emit(builtin, node, inputs=[node.input(0), vector], options=options)


@lowers("Concat")
def concat(node: Node, out: TFLiteBuilder) -> None:
    """CONCATENATION."""
    out.emit("CONCATENATION", node, options="ConcatenationOptions", axis=node.attrs["axis"])


@lowers("Split")
def split(node: Node, out: TFLiteBuilder) -> None:
    """SPLIT of equal parts, SPLIT_V of others."""
    sizes = node.attrs["sizes"]
    axis, count = out.constant(f"{node.name}/axis", node.attrs["axis"]), len(sizes)
    if len(set(sizes)) == 1:
        inputs = [axis, node.input(0)]
        out.emit("SPLIT", node, inputs=inputs, options="SplitOptions", num_splits=count)
    else:
        inputs = [node.input(0), out.constant(f"{node.name}/sizes", sizes), axis]
        out.emit("SPLIT_V", node, inputs=inputs, options="SplitVOptions", num_splits=count)


@lowers("Slice")
def slice_(node: Node, out: TFLiteBuilder) -> None:
    """SLICE, or STRIDED_SLICE where an element is skipped or the order reversed.

    Legal form: rank 1 to 5. An end in front of the first element has no number (-1 is the last
    element), so the end mask says it.
    """
    require(node, 0 < node.output.rank <= 5, f"rank {node.output.rank}")
    begin, size, stride = (node.attrs[key] for key in ("begin", "size", "stride"))
    first = out.constant(f"{node.name}/begin", begin)
    if all(s == 1 for s in stride):
        inputs = [node.input(0), first, out.constant(f"{node.name}/size", size)]
        out.emit("SLICE", node, inputs=inputs, options="SliceOptions")
        return
    end = [b + n * s for b, n, s in zip(begin, size, stride, strict=True)]
    last = out.constant(f"{node.name}/end", [max(e, 0) for e in end])
    steps = out.constant(f"{node.name}/stride", stride)
    mask = sum(1 << i for i, e in enumerate(end) if e < 0)
    inputs = [node.input(0), first, last, steps]
    out.emit("STRIDED_SLICE", node, inputs=inputs, options="StridedSliceOptions", end_mask=mask)


# -- padding ---------------------------------------------------------------------------------------


@lowers("Pad")
def pad(node: Node, out: TFLiteBuilder) -> None:
    """PAD with (quantized) zeros, PADV2 with another value, MIRROR_PAD.

    Legal form: mode is not edge; nothing is cut; rank 1 to 5.
    """
    require(node, all(n >= 0 for pair in node.attrs["pads"] for n in pair), "cutting")
    mode, x = node.attrs["mode"], node.input(0)
    require(node, 0 < x.rank <= 5, f"rank {x.rank}")
    inputs = [x, out.constant(f"{node.name}/pads", node.attrs["pads"])]
    if mode == "constant" and not node.attrs["value"]:
        out.emit("PAD", node, inputs=inputs, options="PadOptions")
    elif mode == "constant":
        out.emit("PADV2", node, inputs=[*inputs, _fill(node, out)], options="PadV2Options")
    else:
        require(node, mode in ("reflect", "symmetric"), f"mode {mode}")
        code = getattr(fmt.schema().MirrorPadMode, mode.upper())
        out.emit("MIRROR_PAD", node, inputs=inputs, options="MirrorPadOptions", mode=code)


def _fill(node: Node, out: TFLiteBuilder) -> Value:
    x, value = node.input(0), node.attrs["value"]
    if x.quant is not None:
        value = x.quant.quantize(np.asarray(value, np.float32), x.dtype)
    return out.constant(f"{node.name}/value", value, x.dtype, x.quant)


# -- indices ---------------------------------------------------------------------------------------


@lowers("Gather")
def gather(node: Node, out: TFLiteBuilder) -> None:
    """GATHER. Legal form: no negative indices."""
    axis, batch_dims = node.attrs["axis"], node.attrs["batch_dims"]
    out.emit("GATHER", node, options="GatherOptions", axis=axis, batch_dims=batch_dims)


@lowers("GatherNd")
def gather_nd(node: Node, out: TFLiteBuilder) -> None:
    """GATHER_ND. Legal form: no negative indices."""
    out.emit("GATHER_ND", node, options="GatherNdOptions")


@lowers("ScatterNd")
def scatter_nd(node: Node, out: TFLiteBuilder) -> None:
    """SCATTER_ND. Legal form: int32 indices."""
    shape = out.constant(f"{node.name}/shape", node.attrs["shape"])
    out.emit("SCATTER_ND", node, inputs=[*node.inputs, shape], options="ScatterNdOptions")


@lowers("OneHot")
def one_hot(node: Node, out: TFLiteBuilder) -> None:
    """ONE_HOT."""
    attrs, dtype = node.attrs, node.output.dtype
    depth = out.constant(f"{node.name}/depth", attrs["depth"], DType.INT32)
    levels = [out.constant(f"{node.name}/{key}", attrs[key], dtype) for key in ("on", "off")]
    inputs = [node.input(0), depth, *levels]
    out.emit("ONE_HOT", node, inputs=inputs, options="OneHotOptions", axis=attrs["axis"])


@lowers("DynamicUpdateSlice")
def dynamic_update_slice(node: Node, out: TFLiteBuilder) -> None:
    """DYNAMIC_UPDATE_SLICE."""
    out.emit("DYNAMIC_UPDATE_SLICE", node, options="DynamicUpdateSliceOptions")
