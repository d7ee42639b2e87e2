"""Operators that move elements without computing."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need

_END = -(2**31)  # before the first element, for backward slices


def emit_moved(node: Node, out: OnnxBuilder, op: str, *more: str, **attrs: object) -> None:
    """`op` on input 0, between DequantizeLinear and QuantizeLinear where that is quantized.

    Runtimes drop the two when they have the same parameters. Without them an integer tensor would
    not come from a QuantizeLinear, and ONNX Runtime, which turns int8 to uint8 on x64 wherever one
    meets a DequantizeLinear, would find two kinds of integers around the next operator.
    """
    out.emit(op, [out.real(node.input(0)), *more], node.output, **attrs)


@lowers("Reshape")
def reshape(node: Node, out: OnnxBuilder) -> None:
    """Reshape."""
    emit_moved(node, out, "Reshape", out.constant(node.attrs["shape"], name="shape"))


@lowers("Transpose")
def transpose(node: Node, out: OnnxBuilder) -> None:
    """Transpose."""
    emit_moved(node, out, "Transpose", perm=list(node.attrs["perm"]))


@lowers("Concat")
def concat(node: Node, out: OnnxBuilder) -> None:
    """Concat."""
    values, axis = list(node.present_inputs), node.attrs["axis"]
    out.emit("Concat", [out.real(v) for v in values], node.output, axis=axis)


@lowers("Split")
def split(node: Node, out: OnnxBuilder) -> None:
    """Split."""
    sizes = out.constant(node.attrs["sizes"], name="sizes")
    axis = node.attrs["axis"]
    parts = [v.name if v.quant is None else out.fresh(f"{v.name}/part") for v in node.outputs]
    out.op_multi("Split", [out.real(node.input(0)), sizes], parts, axis=axis)
    for part, value in zip(parts, node.outputs, strict=True):
        if value.quant is not None:
            out.store(part, value)


@lowers("Slice")
def slice_(node: Node, out: OnnxBuilder) -> None:
    """Slice of the dimensions that are cut."""
    shape, attrs = node.input(0).shape, node.attrs
    dims = list(zip(attrs["begin"], attrs["size"], attrs["stride"], strict=True))
    axes = [i for i, (b, n, s) in enumerate(dims) if (b, n, s) != (0, shape[i], 1)]
    ends = [b + n * s for b, n, s in dims]
    columns = [
        [dims[i][0] for i in axes],
        [ends[i] if ends[i] >= 0 else _END for i in axes],
        axes,
        [dims[i][2] for i in axes],
    ]
    if not axes:
        emit_moved(node, out, "Identity")
        return
    names = [out.constant(c, name="slice") for c in columns]
    emit_moved(node, out, "Slice", *names)


@lowers("Reverse")
def reverse(node: Node, out: OnnxBuilder) -> None:
    """Slice from the last to the first."""
    axes = [a % node.input(0).rank for a in node.attrs["axes"]]
    count = len(axes)
    columns = ([-1] * count, [_END] * count, axes, [-1] * count)
    emit_moved(node, out, "Slice", *(out.constant(c, name="slice") for c in columns))


@lowers("Pad")
def pad(node: Node, out: OnnxBuilder) -> None:
    """Pad; the symmetric mode must be gone."""
    x, mode = node.input(0), node.attrs["mode"]
    need(mode != "symmetric", node, "is symmetric")
    pads = node.attrs["pads"]
    ends = out.constant([b for b, _ in pads] + [a for _, a in pads], name="pads")
    if mode != "constant":
        emit_moved(node, out, "Pad", ends, mode=mode)
        return
    kind = DType.FLOAT32 if x.quant is not None else x.dtype
    emit_moved(node, out, "Pad", ends, out.constant(node.attrs["value"], kind, "pad_value"))


@lowers("Tile")
def tile(node: Node, out: OnnxBuilder) -> None:
    """Tile."""
    emit_moved(node, out, "Tile", out.constant(node.attrs["multiples"], name="multiples"))


@lowers("BroadcastTo")
def broadcast_to(node: Node, out: OnnxBuilder) -> None:
    """Expand."""
    emit_moved(node, out, "Expand", out.constant(node.attrs["shape"], name="shape"))
