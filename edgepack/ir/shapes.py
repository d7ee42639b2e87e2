"""Shape rules of the op table: inputs and attributes in, one (shape, dtype) per output out.

A rule raises `ValueError` with what is wrong; `edgepack.ir.ops.infer` adds where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgepack.ir.dtypes import DType
from edgepack.ir.value import Value

Shape = tuple[int, ...]
Spec = tuple[Shape, DType]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
ShapeRule = Callable[[Inputs, Attrs], list[Spec]]

NCHW = "NCHW"
NHWC = "NHWC"


def need(inputs: Inputs, index: int) -> Value:
    """Input `index`; ValueError when it is missing."""
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        raise ValueError(f"input {index} is missing")
    return value


def normal_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; ValueError when out of range."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank


def broadcast(*shapes: Shape) -> Shape:
    """The common shape after numpy's broadcasting rule; ValueError when there is none."""
    rank = max((len(s) for s in shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    result = []
    for dims in zip(*padded, strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


# -- spatial ---------------------------------------------------------------------------------------


def split_layout(shape: Shape, layout: str, rank: int = 4) -> tuple[int, Shape, int]:
    """(batch, spatial sizes, channels) of a value in `layout`; rank 5 has three spatial sizes."""
    if len(shape) != rank:
        raise ValueError(f"this spatial operator takes rank {rank}, not {shape}")
    if layout == NCHW:
        return shape[0], shape[2:], shape[1]
    return shape[0], shape[1:-1], shape[-1]


def join_layout(batch: int, spatial: Sequence[int], channels: int, layout: str) -> Shape:
    """The reverse of `split_layout`."""
    if layout == NCHW:
        return (batch, channels, *spatial)
    return (batch, *spatial, channels)


def _windows(spatial: Shape, kernel: Shape, attrs: Attrs) -> Shape:
    stride, dilation, pad = attrs["stride"], attrs.get("dilation", (1, 1)), attrs["pad"]
    out = []
    for size, k, s, d, (before, after) in zip(spatial, kernel, stride, dilation, pad, strict=True):
        count = (size + before + after - (d * (k - 1) + 1)) // s + 1
        if count < 1:
            raise ValueError(f"a window of {k} (dilation {d}) does not fit size {size} with {pad=}")
        out.append(count)
    return tuple(out)


def convolution(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Conv2d and Conv3d: weights [out, *kernel, in], input channels divided by `groups`."""
    x, w = need(inputs, 0), need(inputs, 1)
    batch, spatial, kernel = _grouped(x, w, attrs)
    out = _windows(spatial, kernel, attrs)
    return [(join_layout(batch, out, w.shape[0], attrs["layout"]), x.dtype)]


def _grouped(x: Value, w: Value, attrs: Attrs) -> tuple[int, Shape, Shape]:
    """(batch, spatial sizes, kernel) where weights [out, *kernel, in] suit x and the groups."""
    if w.rank != len(attrs["stride"]) + 2:
        raise ValueError(f"weights {w.shape} do not suit the stride {attrs['stride']}")
    batch, spatial, channels = split_layout(x.shape, attrs["layout"], w.rank)
    out_channels, *kernel, in_channels = w.shape
    if in_channels * attrs["groups"] != channels or out_channels % attrs["groups"]:
        raise ValueError(
            f"weights {w.shape} with groups={attrs['groups']} do not suit {channels} channels"
        )
    return batch, spatial, tuple(kernel)


def depthwise_conv2d(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """DepthwiseConv2d: weights [1, kh, kw, channels * multiplier]."""
    x, w = need(inputs, 0), need(inputs, 1)
    batch, spatial, channels = split_layout(x.shape, attrs["layout"])
    if w.rank != 4 or w.shape[0] != 1 or w.shape[3] % max(channels, 1):
        raise ValueError(f"depthwise weights {w.shape} do not suit {channels} channels")
    out = _windows(spatial, w.shape[1:3], attrs)
    return [(join_layout(batch, out, w.shape[3], attrs["layout"]), x.dtype)]


def transposed_convolution(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """ConvTranspose2d and 3d, weights as Conv's: `pad` cuts the full output, `output_pad` adds."""
    x, w = need(inputs, 0), need(inputs, 1)
    batch, spatial, kernel = _grouped(x, w, attrs)
    out = [
        (size - 1) * s + d * (k - 1) + 1 - before - after + extra
        for size, k, s, d, (before, after), extra in zip(
            spatial, kernel, attrs["stride"], attrs["dilation"], attrs["pad"],
            attrs["output_pad"], strict=True,
        )
    ]  # fmt: skip
    return [(join_layout(batch, out, w.shape[0], attrs["layout"]), x.dtype)]


def pool2d(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """MaxPool2d and AveragePool2d."""
    x = need(inputs, 0)
    batch, spatial, channels = split_layout(x.shape, attrs["layout"])
    out = _windows(spatial, attrs["kernel"], attrs)
    return [(join_layout(batch, out, channels, attrs["layout"]), x.dtype)]


def resize(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """ResizeNearest and ResizeBilinear to `size` = (height, width)."""
    x = need(inputs, 0)
    batch, _, channels = split_layout(x.shape, attrs["layout"])
    return [(join_layout(batch, attrs["size"], channels, attrs["layout"]), x.dtype)]


def depth_to_space(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """DepthToSpace: `block` * `block` channels become one block of pixels."""
    x, block = need(inputs, 0), attrs["block"]
    batch, (h, w), channels = split_layout(x.shape, attrs["layout"])
    if channels % (block * block):
        raise ValueError(f"{channels} channels are no multiple of {block}x{block}")
    shape = join_layout(batch, (h * block, w * block), channels // block**2, attrs["layout"])
    return [(shape, x.dtype)]


def space_to_depth(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """SpaceToDepth: the reverse of DepthToSpace."""
    x, block = need(inputs, 0), attrs["block"]
    batch, (h, w), channels = split_layout(x.shape, attrs["layout"])
    if h % block or w % block:
        raise ValueError(f"size {h}x{w} is no multiple of block {block}")
    shape = join_layout(batch, (h // block, w // block), channels * block**2, attrs["layout"])
    return [(shape, x.dtype)]


def space_to_batch(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """SpaceToBatch over the first spatial dimensions, NHWC: `block` and `pad` per dimension."""
    x = need(inputs, 0)
    spatial = [
        (size + sum(pad)) // block
        for size, block, pad in zip(x.shape[1:], attrs["block"], attrs["pad"], strict=False)
    ]
    rest = x.shape[1 + len(spatial) :]
    return [((x.shape[0] * math.prod(attrs["block"]), *spatial, *rest), x.dtype)]


def batch_to_space(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """BatchToSpace: the reverse of SpaceToBatch; `crop` per dimension."""
    x = need(inputs, 0)
    spatial = [
        size * block - sum(crop)
        for size, block, crop in zip(x.shape[1:], attrs["block"], attrs["crop"], strict=False)
    ]
    rest = x.shape[1 + len(spatial) :]
    return [((x.shape[0] // math.prod(attrs["block"]), *spatial, *rest), x.dtype)]


# -- dense -----------------------------------------------------------------------------------------


def fully_connected(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """FullyConnected: x [..., in] (with `flatten` any x, as rows of in) by weights [out, in]."""
    x, w = need(inputs, 0), need(inputs, 1)
    if attrs["flatten"]:
        if w.rank != 2 or x.size % max(w.shape[1], 1):
            raise ValueError(f"weights {w.shape} do not suit input {x.shape}, flattened")
        return [((x.size // max(w.shape[1], 1), w.shape[0]), x.dtype)]
    if w.rank != 2 or not x.rank or x.shape[-1] != w.shape[1]:
        raise ValueError(f"weights {w.shape} do not suit input {x.shape}")
    return [((*x.shape[:-1], w.shape[0]), x.dtype)]


def matmul(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """MatMul: batch dimensions broadcast; `adj_a`, `adj_b` transpose the last two."""
    a, b = need(inputs, 0), need(inputs, 1)
    if a.rank < 2 or b.rank < 2:
        raise ValueError(f"MatMul takes rank 2 or more, not {a.shape} and {b.shape}")
    rows, inner_a = a.shape[-2:][:: -1 if attrs["adj_a"] else 1]
    inner_b, cols = b.shape[-2:][:: -1 if attrs["adj_b"] else 1]
    if inner_a != inner_b:
        raise ValueError(f"inner sizes {inner_a} and {inner_b} differ")
    return [((*broadcast(a.shape[:-2], b.shape[:-2]), rows, cols), a.dtype)]


# -- elementwise -----------------------------------------------------------------------------------


def same(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """One output like input 0."""
    x = need(inputs, 0)
    return [(x.shape, x.dtype)]


def elementwise(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """All inputs broadcast together; dtype of input 0."""
    shapes = [need(inputs, i).shape for i in range(len(inputs))]
    return [(broadcast(*shapes), need(inputs, 0).dtype)]


def comparison(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Like `elementwise`, with a bool result."""
    return [(elementwise(inputs, attrs)[0][0], DType.BOOL)]


def where(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Where: condition, then, else; dtype of `then`."""
    shapes = [need(inputs, i).shape for i in range(3)]
    return [(broadcast(*shapes), need(inputs, 1).dtype)]


def cast(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Cast, Quantize and Dequantize: input 0 with the dtype `to`."""
    return [(need(inputs, 0).shape, DType(attrs["to"]))]


def dynamic_update_slice(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """DynamicUpdateSlice: x, an update of its rank and no larger, a start per dimension."""
    x, update, start = need(inputs, 0), need(inputs, 1), need(inputs, 2)
    fits = x.rank == update.rank and all(map(int.__le__, update.shape, x.shape))
    if not fits or start.shape != (x.rank,):
        raise ValueError(f"an update {update.shape} at {start.shape} does not suit {x.shape}")
    return [(x.shape, x.dtype)]


# -- reductions ------------------------------------------------------------------------------------


def reduction(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Reduce over `axes` (empty: none), keeping them as 1 with `keepdims`."""
    x = need(inputs, 0)
    axes = {normal_axis(a, x.rank) for a in attrs["axes"]}
    kept = [
        1 if i in axes else d for i, d in enumerate(x.shape) if i not in axes or attrs["keepdims"]
    ]
    return [(tuple(kept), x.dtype)]


def arg_reduction(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """ArgMax and ArgMin: `axis` disappears; indices in the dtype `to`."""
    x = need(inputs, 0)
    axis = normal_axis(attrs["axis"], x.rank)
    return [(x.shape[:axis] + x.shape[axis + 1 :], DType(attrs["to"]))]


def top_k(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """TopK along the last axis: values, then int32 indices."""
    x = need(inputs, 0)
    if not x.rank or attrs["k"] > x.shape[-1]:
        raise ValueError(f"k={attrs['k']} is more than the last dimension of {x.shape}")
    shape = (*x.shape[:-1], attrs["k"])
    return [(shape, x.dtype), (shape, DType.INT32)]


# -- shape operators -------------------------------------------------------------------------------


def reshape(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Reshape to `shape`, which must be concrete."""
    x, shape = need(inputs, 0), tuple(attrs["shape"])
    if math.prod(shape) != x.size:
        raise ValueError(f"{x.shape} does not reshape to {shape}")
    return [(shape, x.dtype)]


def transpose(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Transpose by `perm`."""
    x, perm = need(inputs, 0), attrs["perm"]
    if sorted(perm) != list(range(x.rank)):
        raise ValueError(f"perm {perm} does not suit {x.shape}")
    return [(tuple(x.shape[p] for p in perm), x.dtype)]


def concat(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Concat along `axis`."""
    values = [need(inputs, i) for i in range(len(inputs))]
    axis = normal_axis(attrs["axis"], values[0].rank)
    rests = {v.shape[:axis] + v.shape[axis + 1 :] for v in values}
    if len(rests) != 1:
        raise ValueError(f"shapes {[v.shape for v in values]} do not concatenate on axis {axis}")
    shape = list(values[0].shape)
    shape[axis] = sum(v.shape[axis] for v in values)
    return [(tuple(shape), values[0].dtype)]


def split(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Split along `axis` into parts of the given `sizes`."""
    x = need(inputs, 0)
    axis = normal_axis(attrs["axis"], x.rank)
    if sum(attrs["sizes"]) != x.shape[axis]:
        raise ValueError(f"sizes {attrs['sizes']} do not add up to {x.shape[axis]}")
    return [(x.shape[:axis] + (size,) + x.shape[axis + 1 :], x.dtype) for size in attrs["sizes"]]


def slice_(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Slice: per dimension, `size` elements from `begin` on, `stride` apart (may be negative)."""
    x = need(inputs, 0)
    for dim, begin, size, stride in zip(
        x.shape, attrs["begin"], attrs["size"], attrs["stride"], strict=True
    ):
        last = begin + (size - 1) * stride
        if size and not (0 <= begin < dim and 0 <= last < dim):
            raise ValueError(f"{size} elements from {begin} by {stride} leave dimension {dim}")
    return [(tuple(attrs["size"]), x.dtype)]


def pad(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Pad: `pads` is one (before, after) per dimension."""
    x = need(inputs, 0)
    dims = zip(x.shape, attrs["pads"], strict=True)
    return [(tuple(d + before + after for d, (before, after) in dims), x.dtype)]


def tile(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Tile by `multiples`."""
    x = need(inputs, 0)
    return [(tuple(d * m for d, m in zip(x.shape, attrs["multiples"], strict=True)), x.dtype)]


def broadcast_to(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """BroadcastTo `shape`."""
    x, shape = need(inputs, 0), tuple(attrs["shape"])
    if broadcast(x.shape, shape) != shape:
        raise ValueError(f"{x.shape} does not broadcast to {shape}")
    return [(shape, x.dtype)]


def gather(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Gather along `axis`; the first `batch_dims` dimensions are matched."""
    x, indices = need(inputs, 0), need(inputs, 1)
    axis, batch = normal_axis(attrs["axis"], x.rank), attrs["batch_dims"]
    return [(x.shape[:axis] + indices.shape[batch:] + x.shape[axis + 1 :], x.dtype)]


def gather_nd(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """GatherNd: the last dimension of the indices addresses the first ones of x."""
    x, indices = need(inputs, 0), need(inputs, 1)
    return [(indices.shape[:-1] + x.shape[indices.shape[-1] :], x.dtype)]


def scatter_nd(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """ScatterNd: indices and updates into zeros of `shape`."""
    return [(tuple(attrs["shape"]), need(inputs, 1).dtype)]


def one_hot(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """OneHot: a dimension of `depth` at `axis`; dtype `to`."""
    x = need(inputs, 0)
    axis = normal_axis(attrs["axis"], x.rank + 1)
    return [(x.shape[:axis] + (attrs["depth"],) + x.shape[axis:], DType(attrs["to"]))]


# -- recurrent -------------------------------------------------------------------------------------


def lstm(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Lstm: x [batch, time, in] (or time first) to [batch, time, out].

    Weights are [units, in] and [units, out], peepholes and biases [units], the projection [out,
    units] (without one, out is units), the states h [batch, out] and c [batch, units].
    """
    x, w, r = need(inputs, 0), need(inputs, 2), need(inputs, 6)
    h, c = need(inputs, 18), need(inputs, 19)
    if x.rank != 3 or w.rank != 2 or r.rank != 2:
        raise ValueError(f"input {x.shape} and weights {w.shape}, {r.shape} do not make an LSTM")
    units, out = r.shape
    batch = x.shape[1 if attrs["time_major"] else 0]
    vector = (units,)
    expected = {
        **dict.fromkeys((1, 2, 3, 4), (units, x.shape[2])),
        **dict.fromkeys((5, 6, 7, 8), (units, out)),
        **dict.fromkeys((9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23), vector),
        16: (out, units), 17: (out,), 18: (batch, out), 19: (batch, units),
    }  # fmt: skip
    for index, value in enumerate(inputs):
        if index in expected and value is not None and value.shape != expected[index]:
            raise ValueError(f"{value.name} is {value.shape}, should be {expected[index]}")
    if h.dtype is not x.dtype or c.rank != 2:
        raise ValueError(f"the state {h.name} is {h.dtype}, the input {x.dtype}")
    return [((*x.shape[:2], out), x.dtype)]


def svdf(inputs: Inputs, attrs: Attrs) -> list[Spec]:
    """Svdf: x [batch, in] to [batch, filters / rank].

    Feature weights are [filters, in], time weights [filters, memory], the state [batch, memory *
    filters].
    """
    x, feature, time, state = (need(inputs, i) for i in (0, 1, 2, 4))
    if x.rank != 2 or feature.rank != 2 or time.rank != 2 or feature.shape[1] != x.shape[1]:
        raise ValueError(f"weights {feature.shape} and {time.shape} do not suit {x.shape}")
    filters, rank = feature.shape[0], attrs["rank"]
    if time.shape[0] != filters or rank < 1 or filters % rank:
        raise ValueError(f"{filters} filters of rank {rank} do not suit time weights {time.shape}")
    if state.shape != (x.shape[0], filters * time.shape[1]):
        raise ValueError(f"the state {state.shape} is not [batch, memory * filters]")
    units, bias = filters // rank, inputs[3]
    if bias is not None and bias.shape != (units,):
        raise ValueError(f"the bias {bias.shape} is not [{units}]")
    return [((x.shape[0], units), x.dtype)]
