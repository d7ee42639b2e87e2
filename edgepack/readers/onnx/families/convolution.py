"""Convolutions, plain and transposed, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.families.window import Window, read_window, split_total
from edgepack.readers.onnx.registry import reads


@reads("Conv")
def conv(ctx: Context, node: Call) -> Value:
    """Weights [out, in / groups, *kernel]; groups of one channel become depthwise."""
    y = convolve(ctx, node, node.input(0), node.input(1), node.optional(2))
    return y


def convolve(ctx: Context, node: Call, x: Value, w: Value, b: Value | None) -> Value:
    """Conv of `x` with the attributes of `node`, any number of spatial dimensions."""
    check_weights(node, w)
    window = read_window(node, x.shape[2:], w.shape[2:])
    groups = node.attr("group", 1)
    if window.rank not in (1, 2, 3):
        raise Refused(f"{window.rank} spatial dimensions", "use 1 to 3")
    if window.rank == 1:
        lifted = _conv2d(ctx, lift(ctx, x), lift(ctx, w), b, window.lifted(), groups)
        return ctx.reshape(lifted, (*lifted.shape[:2], lifted.shape[3]))
    if window.rank == 2:
        return _conv2d(ctx, x, w, b, window, groups)
    return _conv3d(ctx, x, w, b, window, groups)


def check_weights(node: Call, w: Value) -> None:
    """Raise ValueError unless kernel_shape, where given, is the weights'."""
    kernel = node.attr("kernel_shape")
    if kernel is not None and tuple(kernel) != w.shape[2:]:
        raise ValueError(f"kernel_shape {tuple(kernel)}, weights {w.shape}")


def lift(ctx: Context, x: Value) -> Value:
    """[A, B, L] as [A, B, 1, L]."""
    return ctx.reshape(x, (*x.shape[:2], 1, x.shape[2]))


def _conv2d(
    ctx: Context, x: Value, w: Value, b: Value | None, window: Window, groups: int
) -> Value:
    attrs = {**window.attrs, "dilation": window.dilation}
    depthwise = groups > 1 and groups == x.shape[1] and w.shape[1] == 1
    if depthwise and w.shape[0] % groups == 0:
        weights = ctx.transpose(w, (1, 2, 3, 0))  # [1, kh, kw, C * M]
        return ctx.emit("DepthwiseConv2d", *_inputs(x, weights, b), **attrs)
    weights = ctx.transpose(w, (0, 2, 3, 1))  # OHWI
    return ctx.emit("Conv2d", *_inputs(x, weights, b), **attrs, groups=groups)


def _inputs(x: Value, w: Value, b: Value | None) -> list[Value | None]:
    return [x, w] if b is None else [x, w, b]


def _conv3d(
    ctx: Context, x: Value, w: Value, b: Value | None, window: Window, groups: int
) -> Value:
    """Sum over the kernel's depth of 2-D convolutions, with output depths in the batch."""
    batch, channels = x.shape[:2]
    x = ctx.pad(x, [(0, 0), (0, 0), window.full_pad[0], (0, 0), (0, 0)])
    (kd, *_), (sd, *_), (dd, *_) = window.kernel, window.stride, window.dilation
    depth = (x.shape[2] - (kd - 1) * dd - 1) // sd + 1
    terms = []
    for k in range(kd):
        part = ctx.slice(x, 2, k * dd, depth, sd)
        part = ctx.transpose(part, (0, 2, 1, 3, 4))
        part = ctx.reshape(part, (batch * depth, channels, *part.shape[3:]))
        plane = ctx.slice(w, 2, k, 1)
        plane = ctx.reshape(plane, (*w.shape[:2], *w.shape[3:]))
        terms.append(_conv2d(ctx, part, plane, b if k == 0 else None, window.only((1, 2)), groups))
    y = ctx.total("Add", terms)
    y = ctx.reshape(y, (batch, depth, *y.shape[1:]))
    return ctx.transpose(y, (0, 2, 1, 3, 4))


# -- transposed ------------------------------------------------------------------------------------


@reads("ConvTranspose")
def conv_transpose(ctx: Context, node: Call) -> Value:
    """Weights [in, out / groups, *kernel]; pads are cut off the full result."""
    x, w, b = node.input(0), node.input(1), node.optional(2)
    check_weights(node, w)
    window, extra = _transposed_window(node, x.shape[2:], w.shape[2:])
    groups = node.attr("group", 1)
    if window.rank not in (1, 2, 3):
        raise Refused(f"{window.rank} spatial dimensions", "use 1 to 3")
    if window.rank == 1:
        x, w, window = lift(ctx, x), lift(ctx, w), window.lifted()
        y = _transpose2d(ctx, x, w, b, window, (0, *extra), groups)
        return ctx.reshape(y, (*y.shape[:2], y.shape[3]))
    if window.rank == 2:
        return _transpose2d(ctx, x, w, b, window, extra, groups)
    return _transpose3d(ctx, x, w, b, window, extra, groups)


def _transposed_window(
    node: Call, spatial: Sequence[int], kernel: Sequence[int]
) -> tuple[Window, tuple[int, ...]]:
    """The window with the padding to cut, and the elements to append behind."""
    rank = len(spatial)
    extra = tuple(node.attr("output_padding", (0,) * rank))
    auto = node.attr("auto_pad", "NOTSET")
    fixed = auto not in ("NOTSET", "", "VALID") or node.attr("output_shape") is not None
    if not fixed:
        return read_window(node, spatial, kernel), extra
    base = read_window(_without_pads(node), spatial, kernel)
    asked = node.attr("output_shape") or [n * s for n, s in zip(spatial, base.stride, strict=True)]
    pads, extras = [], []
    for i, size in enumerate(list(asked)[-rank:]):
        reach = (base.kernel[i] - 1) * base.dilation[i] + 1
        total = base.stride[i] * (spatial[i] - 1) + extra[i] + reach - size
        pads.append(split_total(max(total, 0), lower=auto != "SAME_UPPER"))
        extras.append(extra[i] + max(-total, 0))
    flat = tuple(pads)
    window = Window(base.kernel, base.stride, base.dilation, flat, (0,) * rank)
    return window, tuple(extras)


def _without_pads(node: Call) -> Call:
    attrs = {k: v for k, v in node.attrs.items() if k not in ("auto_pad", "pads")}
    return Call(node.op, node.domain, node.opset, node.name, node.inputs, node.outputs, attrs)


def _transpose2d(
    ctx: Context, x: Value, w: Value, b: Value | None, window: Window, extra: Sequence[int],
    groups: int,
) -> Value:  # fmt: skip
    rows, per_group, kh, kw = w.shape
    grouped = ctx.reshape(w, (groups, rows // groups, per_group, kh, kw))
    grouped = ctx.transpose(grouped, (0, 2, 3, 4, 1))
    weights = ctx.reshape(grouped, (groups * per_group, kh, kw, rows // groups))  # OHWI
    return ctx.emit(
        "ConvTranspose2d", *_inputs(x, weights, b), **window.attrs, dilation=window.dilation,
        output_pad=tuple(extra), groups=groups,
    )  # fmt: skip


def _transpose3d(
    ctx: Context, x: Value, w: Value, b: Value | None, window: Window, extra: Sequence[int],
    groups: int,
) -> Value:  # fmt: skip
    """One 2-D transposed convolution per kernel depth, spread along the depth and added."""
    batch, channels, depth, height, width = x.shape
    flat = ctx.reshape(ctx.transpose(x, (0, 2, 1, 3, 4)), (batch * depth, channels, height, width))
    (kd, *_), (sd, *_), (dd, *_) = window.kernel, window.stride, window.dilation
    (cut, _), *_ = window.pad
    full = (depth - 1) * sd + (kd - 1) * dd + 1
    size = full - sum(window.pad[0]) + extra[0]
    terms = []
    for k in range(kd):
        plane = ctx.reshape(ctx.slice(w, 2, k, 1), (*w.shape[:2], *w.shape[3:]))
        y = _transpose2d(ctx, flat, plane, None, window.only((1, 2)), extra[1:], groups)
        y = ctx.transpose(ctx.reshape(y, (batch, depth, *y.shape[1:])), (0, 2, 1, 3, 4))
        terms.append(_spread(ctx, y, sd, k * dd, max(full, cut + size)))
    y = ctx.slice(ctx.total("Add", terms), 2, cut, size)
    if b is None:
        return y
    return ctx.emit("Add", y, ctx.reshape(b, (b.size, 1, 1, 1)))


def _spread(ctx: Context, y: Value, stride: int, offset: int, size: int) -> Value:
    """[N, C, D, H, W] with `stride - 1` zeros after each depth, from `offset` on, `size` deep."""
    batch, channels, depth, height, width = y.shape
    y = ctx.reshape(y, (batch, channels, depth, 1, height * width))
    y = ctx.pad(y, [(0, 0)] * 3 + [(0, stride - 1), (0, 0)])
    y = ctx.reshape(y, (batch, channels, depth * stride, height, width))
    y = ctx.slice(y, 2, 0, (depth - 1) * stride + 1)
    after = size - offset - y.shape[2]
    return ctx.pad(y, [(0, 0), (0, 0), (offset, after), (0, 0), (0, 0)])
