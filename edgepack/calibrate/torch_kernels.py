"""Operators in torch, differentiable: the arithmetic of `edgepack.kernels` on the same shapes.

Every function takes torch itself first (an extra, which is imported by who needs it), then the node
and its inputs. Values are NHWC and weights OHWI, as in any graph that is legalized for TFLite.
Operators that count, or that keep a state, are absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from edgepack.ir import DType, Node
from edgepack.kernels.activation import LIMITS
from edgepack.kernels.pooling import bilinear_weights, nearest_indices, window_count
from edgepack.registry import Registry

Tensor = Any  # torch.Tensor
Torch = Any  # the module

KERNELS: Final[Registry[Callable[..., Any]]] = Registry("torch kernels")
differentiable = KERNELS


def activate(node: Node, y: Tensor) -> Tensor:
    """The fused activation of a result."""
    low, high = LIMITS[node.attrs.get("activation", "none")]
    return y if low is None else y.clamp(low, high)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


# -- convolution and dense -------------------------------------------------------------------------


def _padded(torch: Torch, x: Tensor, pad: Any, fill: float = 0.0) -> Tensor:
    """X [N, C, H, W] with ((top, bottom), (left, right)) elements of `fill` around it."""
    (top, bottom), (left, right) = pad
    if not (top or bottom or left or right):
        return x
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=fill)


def _convolve(torch: Torch, node: Node, x: Tensor, w: Tensor, b: Tensor, groups: int) -> Tensor:
    """X [N, H, W, C], w [out, in / groups, kh, kw]."""
    attrs, x = node.attrs, _channels_first(x)
    padding: tuple[int, ...] = (0, 0)
    if all(before == after for before, after in attrs["pad"]):
        padding = tuple(before for before, _ in attrs["pad"])
    else:
        x = _padded(torch, x, attrs["pad"])
    y = torch.nn.functional.conv2d(x, w, b, attrs["stride"], padding, attrs["dilation"], groups)
    return activate(node, _channels_last(y))


@differentiable("Conv2d")
def conv2d(torch: Torch, node: Node, x: Tensor, w: Tensor, b: Tensor = None) -> Tensor:
    """Cross-correlation, grouped; weights OHWI."""
    return _convolve(torch, node, x, _channels_first(w), b, node.attrs["groups"])


@differentiable("DepthwiseConv2d")
def depthwise_conv2d(torch: Torch, node: Node, x: Tensor, w: Tensor, b: Tensor = None) -> Tensor:
    """One filter per channel and multiple; weights 1HW(C*M)."""
    return _convolve(torch, node, x, w.permute(3, 0, 1, 2), b, x.shape[-1])


@differentiable("ConvTranspose2d")
def conv_transpose2d(torch: Torch, node: Node, x: Tensor, w: Tensor, b: Tensor = None) -> Tensor:
    """The gradient of a convolution whose weights are w; `pad` is cut from the full result."""
    attrs, groups = node.attrs, node.attrs["groups"]
    out, kh, kw, inner = w.shape
    filters = w.reshape(groups, out // groups, kh, kw, inner).permute(0, 4, 1, 2, 3)
    filters = filters.reshape(groups * inner, out // groups, kh, kw)
    full = torch.nn.functional.conv_transpose2d(
        _channels_first(x), filters, None, attrs["stride"], 0, 0, groups, attrs["dilation"]
    )
    y = _channels_last(_window(torch, full, node.output.shape[1:3], attrs["pad"]))
    return activate(node, y if b is None else y + b)


def _window(torch: Torch, full: Tensor, size: tuple[int, ...], pad: Any) -> Tensor:
    """The part of this size from (top, left) on; beyond the end there is nothing but zeros."""
    starts = [before for before, _ in pad]
    missing = [
        max(0, start + n - have)
        for start, n, have in zip(starts, size, full.shape[2:], strict=True)
    ]
    y = _padded(torch, full, ((0, missing[0]), (0, missing[1])))
    (top, left), (height, width) = starts, size
    return y[:, :, top : top + height, left : left + width]


@differentiable("FullyConnected")
def fully_connected(torch: Torch, node: Node, x: Tensor, w: Tensor, b: Tensor = None) -> Tensor:
    """X [..., in] times weights [out, in]."""
    rows = x.reshape(-1, w.shape[1]) if node.attrs["flatten"] else x
    return activate(node, torch.nn.functional.linear(rows, w, b))


@differentiable("MatMul")
def matmul(torch: Torch, node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Batched product of the last two dimensions."""
    left = a.transpose(-1, -2) if node.attrs["adj_a"] else a
    right = b.transpose(-1, -2) if node.attrs["adj_b"] else b
    return left @ right


# -- pooling and resampling ------------------------------------------------------------------------


@differentiable("MaxPool2d")
def max_pool2d(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Maximum of each window; padding never wins."""
    padded = _padded(torch, _channels_first(x), node.attrs["pad"], -math.inf)
    y = torch.nn.functional.max_pool2d(padded, node.attrs["kernel"], node.attrs["stride"])
    return activate(node, _channels_last(y))


@differentiable("AveragePool2d")
def average_pool2d(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Mean of each window, over the elements that are there unless padding counts."""
    kernel = node.attrs["kernel"]
    padded = _padded(torch, _channels_first(x), node.attrs["pad"])
    mean = torch.nn.functional.avg_pool2d(padded, kernel, node.attrs["stride"])
    share = math.prod(kernel) / window_count(node, tuple(x.shape)).astype("float32")
    return activate(node, _channels_last(mean) * torch.from_numpy(share))


@differentiable("ResizeNearest")
def resize_nearest(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """The nearest element."""
    for dim in (0, 1):
        indices = torch.from_numpy(nearest_indices(node, dim, x.shape[1 + dim]))
        x = x.index_select(1 + dim, indices)
    return x


@differentiable("ResizeBilinear")
def resize_bilinear(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Linear between the two nearest rows, and columns."""
    for dim in (0, 1):
        low, high, share = map(torch.from_numpy, bilinear_weights(node, dim, x.shape[1 + dim]))
        share = share.reshape((-1, 1, 1) if dim == 0 else (-1, 1))
        x = x.index_select(1 + dim, low) * (1 - share) + x.index_select(1 + dim, high) * share
    return x


@differentiable("DepthToSpace")
def depth_to_space(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Channels to pixels; the block's place is the slowest part of the channel index."""
    block, (n, h, w, c) = node.attrs["block"], x.shape
    y = x.reshape(n, h, w, block, block, c // block**2).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * block, w * block, -1)


@differentiable("SpaceToDepth")
def space_to_depth(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """The reverse of DepthToSpace."""
    block, (n, h, w, c) = node.attrs["block"], x.shape
    y = x.reshape(n, h // block, block, w // block, block, c).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // block, w // block, -1)


# -- elementwise -----------------------------------------------------------------------------------


def _gelu(torch: Torch, node: Node, x: Tensor) -> Tensor:
    approximate = "tanh" if node.attrs["approximate"] else "none"
    return torch.nn.functional.gelu(x, approximate=approximate)


_ELEMENTWISE: Final[dict[str, Callable[..., Any]]] = {
    "Relu": lambda torch, node, x: x.clamp_min(0),
    "Relu6": lambda torch, node, x: x.clamp(0, 6),
    "ReluN1To1": lambda torch, node, x: x.clamp(-1, 1),
    "Relu0To1": lambda torch, node, x: x.clamp(0, 1),
    "Clip": lambda torch, node, x: x.clamp(node.attrs["min"], node.attrs["max"]),
    "LeakyRelu": lambda torch, node, x: torch.where(x >= 0, x, x * node.attrs["alpha"]),
    "PRelu": lambda torch, node, x, alpha: torch.where(x >= 0, x, x * alpha),
    "Elu": lambda torch, node, x: torch.nn.functional.elu(x),
    "Sigmoid": lambda torch, node, x: torch.sigmoid(x),
    "Tanh": lambda torch, node, x: torch.tanh(x),
    "HardSwish": lambda torch, node, x: x * (x + 3).clamp(0, 6) / 6,
    "Gelu": _gelu,
    "Softmax": lambda torch, node, x: torch.softmax(x * node.attrs["beta"], node.attrs["axis"]),
    "LogSoftmax": lambda torch, node, x: torch.log_softmax(x, node.attrs["axis"]),
    "Exp": lambda torch, node, x: torch.exp(x),
    "Log": lambda torch, node, x: torch.log(x),
    "Sqrt": lambda torch, node, x: torch.sqrt(x),
    "Rsqrt": lambda torch, node, x: torch.rsqrt(x),
    "Abs": lambda torch, node, x: torch.abs(x),
    "Neg": lambda torch, node, x: -x,
    "Square": lambda torch, node, x: x * x,
    "Sin": lambda torch, node, x: torch.sin(x),
    "Cos": lambda torch, node, x: torch.cos(x),
    "Erf": lambda torch, node, x: torch.erf(x),
    "Add": lambda torch, node, a, b: activate(node, a + b),
    "Sub": lambda torch, node, a, b: activate(node, a - b),
    "Mul": lambda torch, node, a, b: activate(node, a * b),
    "Maximum": lambda torch, node, a, b: torch.maximum(a, b),
    "Minimum": lambda torch, node, a, b: torch.minimum(a, b),
    "SquaredDifference": lambda torch, node, a, b: (a - b) ** 2,
    "Equal": lambda torch, node, a, b: a == b,
    "NotEqual": lambda torch, node, a, b: a != b,
    "Less": lambda torch, node, a, b: a < b,
    "LessEqual": lambda torch, node, a, b: a <= b,
    "Greater": lambda torch, node, a, b: a > b,
    "GreaterEqual": lambda torch, node, a, b: a >= b,
    "Where": lambda torch, node, condition, a, b: torch.where(condition, a, b),
}
KERNELS.update(_ELEMENTWISE)


@differentiable("Div")
def div(torch: Torch, node: Node, a: Tensor, b: Tensor) -> Tensor:
    """A / b; of whole numbers toward zero."""
    return activate(
        node, a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")
    )


# -- reductions and normalizations -----------------------------------------------------------------


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(torch: Torch, node: Node, x: Tensor) -> Tensor:
        axes = node.attrs["axes"]
        return function(torch, x, axes, node.attrs["keepdims"]) if axes else x

    return kernel


KERNELS.update({
    "ReduceSum": _reduction(lambda torch, x, axes, keep: x.sum(axes, keep, dtype=x.dtype)),
    "ReduceMean": _reduction(lambda torch, x, axes, keep: x.mean(axes, keep)),
    "ReduceMax": _reduction(lambda torch, x, axes, keep: x.amax(axes, keep)),
    "ReduceMin": _reduction(lambda torch, x, axes, keep: x.amin(axes, keep)),
})  # fmt: skip


def _tail(node: Node, x: Tensor) -> tuple[int, ...]:
    return tuple(range(node.attrs["axis"] % x.dim(), x.dim()))


@differentiable("LayerNorm")
def layer_norm(
    torch: Torch, node: Node, x: Tensor, gamma: Tensor = None, beta: Tensor = None
) -> Tensor:
    """Mean 0 and variance 1 over the dimensions from the axis on, times gamma, plus beta."""
    centred = x - x.mean(_tail(node, x), True)
    y = rms_norm(torch, node, centred, gamma)
    return y if beta is None else y + beta


@differentiable("RmsNorm")
def rms_norm(torch: Torch, node: Node, x: Tensor, gamma: Tensor = None) -> Tensor:
    """X over its root mean square from the axis on, times gamma."""
    y = x * torch.rsqrt((x * x).mean(_tail(node, x), True) + node.attrs["eps"])
    return y if gamma is None else y * gamma


@differentiable("L2Norm")
def l2_norm(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """X over its length along the last axis."""
    return torch.nn.functional.normalize(x, dim=-1, eps=1e-6)


@differentiable("BatchNorm")
def batch_norm(
    torch: Torch, node: Node, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    """(x - mean) * gamma / sqrt(var + eps) + beta along the axis."""
    shape = [1] * x.dim()
    shape[node.attrs["axis"]] = -1
    gain = gamma * torch.rsqrt(var + node.attrs["eps"])
    return (x - mean.reshape(shape)) * gain.reshape(shape) + beta.reshape(shape)


# -- shape -----------------------------------------------------------------------------------------


def _moves(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda torch, node, *inputs: function(torch, node.attrs, *inputs)


KERNELS.update({
    "Reshape": _moves(lambda torch, attrs, x: x.reshape(attrs["shape"])),
    "Transpose": _moves(lambda torch, attrs, x: x.permute(attrs["perm"])),
    "Concat": _moves(lambda torch, attrs, *parts: torch.cat(parts, attrs["axis"])),
    "Split": _moves(lambda torch, attrs, x: tuple(torch.split(x, attrs["sizes"], attrs["axis"]))),
    "Tile": _moves(lambda torch, attrs, x: x.repeat(attrs["multiples"])),
    "BroadcastTo": _moves(lambda torch, attrs, x: x.expand(attrs["shape"])),
    "Reverse": _moves(lambda torch, attrs, x: x.flip(attrs["axes"])),
})  # fmt: skip


@differentiable("Slice")
def slice_(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """`size` elements from `begin` on, `stride` apart, in each dimension."""
    attrs = node.attrs
    for dim, (begin, size, stride) in enumerate(
        zip(attrs["begin"], attrs["size"], attrs["stride"], strict=True)
    ):
        if stride == 1:
            x = x.narrow(dim, begin, size)
        else:
            x = x.index_select(dim, begin + stride * torch.arange(size))
    return x


@differentiable("Pad")
def pad(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Constant, reflect, symmetric or edge padding; a negative pad cuts."""
    attrs = node.attrs
    if attrs["mode"] == "constant":
        flat = [n for pair in reversed(attrs["pads"]) for n in pair]
        return torch.nn.functional.pad(x, flat, value=attrs["value"]) if flat else x
    for dim, (before, after) in enumerate(attrs["pads"]):
        if before or after:
            places = torch.arange(-before, x.shape[dim] + after)
            x = x.index_select(dim, _folded(places, x.shape[dim], attrs["mode"]))
    return x


def _folded(places: Tensor, size: int, mode: str) -> Tensor:
    """Where an element beyond the border is taken from."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    period = 2 * size if mode == "symmetric" else max(2 * size - 2, 1)
    within = places % period
    last = period - 1 if mode == "symmetric" else period
    return within.where(within < size, last - within)


@differentiable("Gather")
def gather(torch: Torch, node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices at indices along the axis; without batch dimensions."""
    axis = node.attrs["axis"] % x.dim()
    flat = x.index_select(axis, indices.reshape(-1))
    return flat.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@differentiable("Cast", "Dequantize")
def cast(torch: Torch, node: Node, x: Tensor) -> Tensor:
    """Another dtype; of Dequantize only float16 and bfloat16 constants that widen."""
    if node.input(0).dtype is DType.BFLOAT16:
        x = x.to(torch.int32).bitwise_left_shift(16).view(torch.float32)
    return x.to(getattr(torch, str(node.output.dtype)))
