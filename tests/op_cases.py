"""One-operator graphs by name: what every kernel and every writer must agree on.

    CASES["add/broadcast_row"].graph()          a fresh graph, from the text form
    CASES["add/broadcast_row"].inputs()         one array per input, always the same ones

Each operator of the table has several: one for each attribute, broadcasting, ranks, dtypes. Tests
run them through the reference kernels and through each writer and runtime, and compare. Names begin
with the operator's, in lower case, before the slash.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Graph
from edgepack.ir.text import parse

Feed = Callable[[np.random.Generator, tuple[int, ...], DType], Array]


@dataclass(frozen=True, slots=True)
class Case:
    """A graph in the text form, what its inputs are fed, and how near results must be.

    `rtol` and `atol` bound |got - want| <= atol + rtol * |want| of float32 results; integers and
    bools must be equal. `why` says what a tolerance wider than the default is for.
    """

    text: str
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    rtol: float = 1e-5
    atol: float = 1e-6
    why: str = ""

    def graph(self) -> Graph:
        """A new graph."""
        return parse(self.text)

    def inputs(self) -> list[Array]:
        """One array per input of the graph; the same ones at each call."""
        rng = np.random.default_rng(zlib.crc32(self.text.encode()))
        return [
            np.asarray(self.feeds.get(v.name, usual)(rng, v.shape, v.dtype), v.dtype.numpy)
            for v in self.graph().inputs
        ]

    def assert_agree(self, got: Sequence[Array], want: Sequence[Array]) -> None:
        """Results of the same shapes and dtypes, near enough."""
        for g, w in zip(got, want, strict=True):
            assert (g.dtype, g.shape) == (w.dtype, w.shape)
            if w.dtype.kind == "f":
                np.testing.assert_allclose(g, w, rtol=self.rtol, atol=self.atol)
            else:
                np.testing.assert_array_equal(g, w)


# -- feeds -----------------------------------------------------------------------------------------


def usual(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Normal numbers of deviation 2, whole ones of -20..20 (0..40 unsigned), coin tosses."""
    if dtype.is_float:
        return 2 * rng.standard_normal(shape)
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape)
    return rng.integers(-20, 21, shape) if dtype.limits[0] < 0 else rng.integers(0, 41, shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Between 0.1 and 4; whole numbers from 1 to 6."""
    return rng.uniform(0.1, 4, shape) if dtype.is_float else rng.integers(1, 7, shape)


def nonzero(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Like `positive`, of either sign."""
    return positive(rng, shape, dtype) * rng.choice([-1, 1], shape)


def wide(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Normal numbers of deviation 20, where activations saturate."""
    return 20 * rng.standard_normal(shape)


def halves(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Multiples of a half: ties for the rounding operators, zeros of both signs."""
    return rng.integers(-9, 10, shape) / 2


def few(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Whole numbers from -2 to 2: many equal ones."""
    return rng.integers(-2, 3, shape)


def below(limit: int) -> Feed:
    """Indices from 0 to `limit` - 1."""
    return lambda rng, shape, dtype: rng.integers(0, limit, shape)


def among(*values: float) -> Feed:
    """Exactly these values, as many as the shape takes, over and over."""
    return lambda rng, shape, dtype: np.resize(np.array(values), shape)


# -- spelling --------------------------------------------------------------------------------------


def _call(op: str, arguments: str, attrs: Mapping[str, Any]) -> str:
    written = "".join(f", {key}={value!r}" for key, value in attrs.items())
    return f"y = {op}({arguments}{written})\noutput(y)"


def one(op: str, x: str = "float32[2, 3, 4]", feed: Feed = usual, /, **attrs: Any) -> Case:
    """An operator of one input."""
    return Case(f"x: {x} = input()\n{_call(op, 'x', attrs)}", {"x": feed})


def two(
    op: str, a: str = "float32[2, 3, 4]", b: str = "float32[2, 3, 4]", feed_a: Feed = usual,
    feed_b: Feed = usual, /, **attrs: Any,
) -> Case:  # fmt: skip
    """An operator of two inputs."""
    text = f"a: {a} = input()\nb: {b} = input()\n{_call(op, 'a, b', attrs)}"
    return Case(text, {"a": feed_a, "b": feed_b})


def weighted(op: str, x: str, w: str, bias: int | None = None, /, **attrs: Any) -> Case:
    """A convolution or dense layer with random weights of the shape `w`."""
    lines = [f"x: float32[{x}] = input()", f"w = random({w})"]
    if bias:
        lines.append(f"b = random({bias})")
    arguments = "x, w, b" if bias else "x, w"
    return Case("\n".join([*lines, _call(op, arguments, attrs)]), rtol=1e-4, atol=1e-4, why=SUMS)


SUMS = "a sum of up to some hundred products, added up in another order"


# -- convolution and dense -------------------------------------------------------------------------

SAME3 = ((1, 1), (1, 1))

_CONVOLUTIONS = {
    "conv2d/valid": weighted("Conv2d", "2, 7, 6, 3", "4, 3, 3, 3"),
    "conv2d/bias": weighted("Conv2d", "1, 7, 6, 3", "4, 3, 2, 3", 4),
    "conv2d/same": weighted("Conv2d", "1, 7, 6, 3", "4, 3, 3, 3", 4, pad=SAME3),
    "conv2d/same_stride_2_even": weighted("Conv2d", "1, 8, 6, 3", "4, 3, 3, 3", 4,
                                          stride=(2, 2), pad=((0, 1), (0, 1))),
    "conv2d/same_stride_2_odd": weighted("Conv2d", "1, 7, 9, 3", "4, 3, 3, 3", 4,
                                         stride=(2, 2), pad=SAME3),
    "conv2d/stride_2_symmetric_pad": weighted("Conv2d", "1, 8, 8, 3", "4, 3, 3, 3", 4,
                                              stride=(2, 2), pad=SAME3),
    "conv2d/odd_pad": weighted("Conv2d", "1, 8, 8, 3", "4, 3, 3, 3", 4, pad=((2, 0), (1, 3))),
    "conv2d/stride_2_by_3": weighted("Conv2d", "1, 9, 10, 3", "4, 3, 3, 3", 4, stride=(2, 3)),
    "conv2d/dilation": weighted("Conv2d", "1, 9, 9, 3", "4, 3, 3, 3", 4, dilation=(2, 3)),
    "conv2d/dilation_same": weighted("Conv2d", "1, 9, 9, 3", "4, 3, 3, 3", 4, dilation=(2, 2),
                                     pad=((2, 2), (2, 2))),
    "conv2d/pointwise": weighted("Conv2d", "1, 5, 5, 8", "16, 1, 1, 8", 16),
    "conv2d/pointwise_stride": weighted("Conv2d", "1, 5, 6, 8", "16, 1, 1, 8", 16, stride=(2, 2)),
    "conv2d/grouped": weighted("Conv2d", "1, 6, 6, 8", "12, 3, 3, 2", 12, groups=4),
    "conv2d/grouped_same": weighted("Conv2d", "2, 6, 6, 4", "4, 3, 3, 2", 4, groups=2, pad=SAME3),
    "conv2d/tall_window": weighted("Conv2d", "1, 12, 3, 2", "4, 10, 3, 2", 4, stride=(2, 1)),
    "conv2d/relu": weighted("Conv2d", "1, 6, 6, 3", "4, 3, 3, 3", 4, activation="relu"),
    "conv2d/relu6": weighted("Conv2d", "1, 6, 6, 3", "4, 3, 3, 3", 4, activation="relu6"),
    "conv2d/relu_n1_to_1": weighted("Conv2d", "1, 6, 6, 3", "4, 3, 3, 3", 4,
                                    activation="relu_n1_to_1"),
    "depthwiseconv2d/valid": weighted("DepthwiseConv2d", "2, 7, 6, 5", "1, 3, 3, 5"),
    "depthwiseconv2d/same": weighted("DepthwiseConv2d", "1, 7, 6, 5", "1, 3, 3, 5", 5, pad=SAME3),
    "depthwiseconv2d/stride": weighted("DepthwiseConv2d", "1, 8, 8, 4", "1, 3, 3, 4", 4,
                                       stride=(2, 2), pad=((0, 1), (0, 1))),
    "depthwiseconv2d/multiplier": weighted("DepthwiseConv2d", "1, 7, 6, 3", "1, 3, 3, 6", 6),
    "depthwiseconv2d/one_channel": weighted("DepthwiseConv2d", "1, 9, 9, 1", "1, 4, 3, 8", 8,
                                            stride=(2, 2)),
    "depthwiseconv2d/dilation": weighted("DepthwiseConv2d", "1, 9, 9, 4", "1, 3, 3, 4", 4,
                                         dilation=(2, 2), pad=((2, 2), (2, 2))),
    "depthwiseconv2d/relu6": weighted("DepthwiseConv2d", "1, 6, 6, 4", "1, 3, 3, 4", 4,
                                      activation="relu6"),
    "convtranspose2d/valid": weighted("ConvTranspose2d", "2, 4, 5, 3", "4, 3, 2, 3"),
    "convtranspose2d/stride": weighted("ConvTranspose2d", "1, 4, 5, 3", "4, 2, 2, 3", 4,
                                       stride=(2, 2)),
    "convtranspose2d/same": weighted("ConvTranspose2d", "1, 4, 5, 3", "4, 3, 3, 3", 4,
                                     stride=(2, 2), pad=((0, 1), (0, 1))),
    "convtranspose2d/pad_1_output_pad_1": weighted("ConvTranspose2d", "1, 4, 5, 3", "4, 3, 3, 3",
                                                   4, stride=(2, 2), pad=SAME3, output_pad=(1, 1)),
    "convtranspose2d/cut_end": weighted("ConvTranspose2d", "1, 4, 4, 3", "4, 3, 3, 3", 4,
                                        stride=(2, 2), pad=((0, 2), (0, 1))),
    "convtranspose2d/output_pad": weighted("ConvTranspose2d", "1, 4, 4, 3", "4, 2, 2, 3", 4,
                                           stride=(2, 2), output_pad=(1, 1)),
    "convtranspose2d/pad_4_2": weighted("ConvTranspose2d", "1, 4, 4, 3", "4, 4, 4, 3", 4,
                                        stride=(2, 2), pad=SAME3),
    "convtranspose2d/stride_3_gaps": weighted("ConvTranspose2d", "1, 3, 3, 2", "4, 2, 2, 2", 4,
                                              stride=(3, 3)),
    "convtranspose2d/dilation": weighted("ConvTranspose2d", "1, 4, 5, 3", "4, 3, 3, 3", 4,
                                         dilation=(2, 1)),
    "convtranspose2d/grouped": weighted("ConvTranspose2d", "1, 4, 5, 4", "6, 3, 3, 2", 6,
                                        groups=2, stride=(2, 2)),
    "convtranspose2d/relu": weighted("ConvTranspose2d", "1, 4, 5, 3", "4, 3, 3, 3", 4,
                                     activation="relu"),
    "conv3d/valid": weighted("Conv3d", "1, 4, 5, 6, 3", "4, 2, 3, 3, 3"),
    "conv3d/same_stride": weighted("Conv3d", "1, 4, 6, 6, 2", "4, 3, 3, 3, 2", 4,
                                   stride=(2, 2, 2), pad=((0, 1), (0, 1), (0, 1))),
    "conv3d/dilation": weighted("Conv3d", "1, 5, 6, 7, 2", "4, 2, 2, 2, 2", 4, dilation=(2, 1, 3)),
    "conv3d/grouped": weighted("Conv3d", "1, 4, 5, 4, 4", "6, 2, 2, 2, 2", 6, groups=2),
    "conv3d/odd_pad": weighted("Conv3d", "1, 4, 5, 4, 2", "3, 2, 2, 2, 2", 3,
                               pad=((1, 0), (0, 2), (1, 1))),
    "conv3d/relu": weighted("Conv3d", "1, 4, 5, 6, 3", "4, 2, 3, 3, 3", 4, activation="relu"),
    "convtranspose3d/valid": weighted("ConvTranspose3d", "1, 3, 4, 2, 3", "4, 2, 3, 3, 3"),
    "convtranspose3d/stride": weighted("ConvTranspose3d", "1, 3, 2, 2, 3", "4, 3, 3, 3, 3", 4,
                                       stride=(2, 2, 2), pad=((0, 1), (0, 1), (0, 1))),
    "convtranspose3d/odd_pad": weighted("ConvTranspose3d", "1, 3, 2, 2, 3", "4, 3, 3, 3, 3", 4,
                                        stride=(2, 2, 2), pad=((1, 1), (1, 0), (0, 0)),
                                        output_pad=(1, 0, 0)),
    "convtranspose3d/dilation": weighted("ConvTranspose3d", "1, 3, 2, 2, 3", "4, 2, 2, 3, 3", 4,
                                         dilation=(2, 1, 2)),
    "convtranspose3d/grouped": weighted("ConvTranspose3d", "1, 3, 2, 2, 4", "6, 2, 2, 2, 2", 6,
                                        groups=2),
    "convtranspose3d/relu": weighted("ConvTranspose3d", "1, 3, 2, 2, 3", "4, 2, 2, 3, 3", 4,
                                     activation="relu"),
    "fullyconnected/rank_2": weighted("FullyConnected", "3, 8", "5, 8"),
    "fullyconnected/bias": weighted("FullyConnected", "1, 8", "5, 8", 5),
    "fullyconnected/rank_3": weighted("FullyConnected", "2, 3, 8", "5, 8", 5),
    "fullyconnected/rank_4": weighted("FullyConnected", "1, 2, 3, 8", "5, 8"),
    "fullyconnected/rank_1": weighted("FullyConnected", "8", "5, 8", 5),
    "fullyconnected/relu": weighted("FullyConnected", "3, 8", "5, 8", 5, activation="relu"),
    "fullyconnected/flatten": weighted("FullyConnected", "2, 2, 3, 4", "5, 12", 5, flatten=True),
    "matmul/rank_2": two("MatMul", "float32[3, 4]", "float32[4, 5]"),
    "matmul/rank_3": two("MatMul", "float32[2, 3, 4]", "float32[2, 4, 5]"),
    "matmul/rank_4": two("MatMul", "float32[2, 3, 4, 5]", "float32[2, 3, 5, 2]"),
    "matmul/broadcast": two("MatMul", "float32[2, 1, 3, 4]", "float32[5, 4, 2]"),
    "matmul/adj_a": two("MatMul", "float32[2, 4, 3]", "float32[2, 4, 5]", adj_a=True),
    "matmul/adj_b": two("MatMul", "float32[2, 3, 4]", "float32[2, 5, 4]", adj_b=True),
    "matmul/adj_both": two("MatMul", "float32[2, 4, 3]", "float32[2, 5, 4]", adj_a=True,
                           adj_b=True),
}  # fmt: skip

# -- pooling and resampling ------------------------------------------------------------------------

_POOLING = {
    "maxpool2d/valid": one("MaxPool2d", "float32[2, 6, 8, 3]", kernel=(2, 2), stride=(2, 2)),
    "maxpool2d/same": one("MaxPool2d", "float32[1, 7, 7, 3]", kernel=(3, 3), stride=(2, 2),
                          pad=SAME3),
    "maxpool2d/odd_pad_negative": one("MaxPool2d", "float32[1, 6, 6, 3]", among(-1, -2, -3, -5),
                                      kernel=(3, 3), stride=(2, 2), pad=SAME3),
    "maxpool2d/relu": one("MaxPool2d", "float32[1, 6, 6, 3]", kernel=(2, 3), activation="relu"),
    "averagepool2d/valid": one("AveragePool2d", "float32[2, 6, 8, 3]", kernel=(2, 2),
                               stride=(2, 2)),
    "averagepool2d/same": one("AveragePool2d", "float32[1, 7, 7, 3]", kernel=(3, 3),
                              stride=(2, 2), pad=SAME3),
    "averagepool2d/count_include_pad": one("AveragePool2d", "float32[1, 7, 7, 3]", kernel=(3, 3),
                                           stride=(2, 2), pad=SAME3, count_include_pad=True),
    "averagepool2d/global": one("AveragePool2d", "float32[1, 7, 5, 8]", kernel=(7, 5)),
    "averagepool2d/relu6": one("AveragePool2d", "float32[1, 6, 6, 3]", wide, kernel=(2, 2),
                               activation="relu6"),
    "resizenearest/up": one("ResizeNearest", "float32[1, 3, 4, 2]", size=(6, 8)),
    "resizenearest/odd": one("ResizeNearest", "float32[2, 5, 4, 2]", size=(7, 3)),
    "resizenearest/half_pixel": one("ResizeNearest", "float32[1, 5, 4, 2]", size=(7, 9),
                                    half_pixel=True),
    "resizenearest/align_corners": one("ResizeNearest", "float32[1, 5, 4, 2]", size=(7, 9),
                                       align_corners=True),
    "resizebilinear/up": one("ResizeBilinear", "float32[1, 3, 4, 2]", size=(6, 8)),
    "resizebilinear/odd": one("ResizeBilinear", "float32[2, 5, 4, 2]", size=(7, 3)),
    "resizebilinear/half_pixel": one("ResizeBilinear", "float32[1, 5, 4, 2]", size=(7, 9),
                                     half_pixel=True),
    "resizebilinear/align_corners": one("ResizeBilinear", "float32[1, 5, 4, 2]", size=(7, 9),
                                        align_corners=True),
    "resizebilinear/to_one_row": one("ResizeBilinear", "float32[1, 5, 4, 2]", size=(1, 4),
                                     align_corners=True),
    "depthtospace/block_2": one("DepthToSpace", "float32[2, 3, 4, 12]", block=2),
    "depthtospace/block_3": one("DepthToSpace", "float32[1, 2, 1, 9]", block=3),
    "depthtospace/int32": one("DepthToSpace", "int32[1, 2, 2, 4]", block=2),
    "spacetodepth/block_2": one("SpaceToDepth", "float32[2, 6, 4, 3]", block=2),
    "spacetodepth/block_3": one("SpaceToDepth", "float32[1, 3, 6, 1]", block=3),
    "spacetobatch/rank_4": one("SpaceToBatch", "float32[2, 4, 6, 3]", block=(2, 3),
                               pad=((0, 0), (0, 0))),
    "spacetobatch/padded": one("SpaceToBatch", "float32[1, 5, 5, 2]", block=(2, 2),
                               pad=((0, 1), (1, 0))),
    "spacetobatch/rank_3": one("SpaceToBatch", "float32[1, 5, 4]", block=(2,), pad=((1, 0),)),
    "batchtospace/rank_4": one("BatchToSpace", "float32[12, 2, 3, 2]", block=(2, 3),
                               crop=((0, 0), (0, 0))),
    "batchtospace/cropped": one("BatchToSpace", "float32[4, 3, 3, 2]", block=(2, 2),
                                crop=((0, 1), (1, 0))),
    "batchtospace/rank_3": one("BatchToSpace", "float32[4, 3, 2]", block=(2,), crop=((1, 0),)),
}  # fmt: skip

# -- activations -----------------------------------------------------------------------------------

_ACTIVATIONS = {
    **{
        f"{op.lower()}/{name}": one(op, x, feed)
        for op in ("Relu", "Relu6", "ReluN1To1", "Relu0To1", "Elu", "Sigmoid", "Tanh", "HardSwish")
        for name, x, feed in [
            ("rank_3", "float32[2, 3, 40]", usual),
            ("wide", "float32[2, 50]", wide),
            ("rank_1", "float32[7]", usual),
        ]
    },
    "clip/both": one("Clip", min=-0.5, max=1.5),
    "clip/above_zero": one("Clip", min=0.0, max=2.0),
    "clip/lower_only": one("Clip", min=-0.25, max=float("inf")),
    "clip/int32": one("Clip", "int32[40]", min=-3, max=7),
    "leakyrelu/small": one("LeakyRelu", alpha=0.1),
    "leakyrelu/above_one": one("LeakyRelu", "float32[50]", alpha=1.5),
    "leakyrelu/negative": one("LeakyRelu", "float32[50]", alpha=-0.3),
    "prelu/channel": two("PRelu", "float32[1, 4, 5, 3]", "float32[3]"),
    "prelu/channel_constant": Case(
        "x: float32[1, 4, 5, 3] = input()\na = random(1, 1, 3)\ny = PRelu(x, a)\noutput(y)"),
    "prelu/elementwise": two("PRelu", "float32[2, 3, 4]", "float32[3, 4]"),
    "gelu/exact": one("Gelu", "float32[4, 50]"),
    "gelu/approximate": one("Gelu", "float32[4, 50]", approximate=True),
    "gelu/exact_wide": one("Gelu", "float32[4, 50]", wide),
    "softmax/last": one("Softmax", "float32[3, 10]"),
    "softmax/beta": one("Softmax", "float32[3, 10]", beta=0.5),
    "softmax/rank_4": one("Softmax", "float32[1, 2, 3, 5]", axis=3),
    "softmax/rank_1": one("Softmax", "float32[10]"),
    "softmax/middle": one("Softmax", "float32[2, 4, 3]", axis=1),
    "softmax/wide": one("Softmax", "float32[3, 10]", wide),
    "logsoftmax/last": one("LogSoftmax", "float32[3, 10]"),
    "logsoftmax/rank_3": one("LogSoftmax", "float32[2, 3, 5]"),
    "logsoftmax/first": one("LogSoftmax", "float32[4, 3]", axis=0),
}  # fmt: skip

# -- elementwise -----------------------------------------------------------------------------------

_ROUNDING = {
    f"{op.lower()}/{name}": one(op, "float32[5, 20]", feed)
    for op in ("Floor", "Ceil", "Round", "Sign")
    for name, feed in [("usual", usual), ("halves", halves)]
}

_UNARY = {
    **_ROUNDING,
    **{f"{op.lower()}/rank_3": one(op) for op in ("Exp", "Abs", "Neg", "Square", "Sin", "Cos")},
    **{
        f"{op.lower()}/rank_3": one(op, "float32[2, 3, 4]", positive)
        for op in ("Log", "Sqrt", "Rsqrt")
    },
    "bitcast/uint64_to_int64": one("Bitcast", "uint64[3, 8]", to="int64"),
    "erf/usual": one("Erf", "float32[4, 50]"),
    "abs/int32": one("Abs", "int32[30]"),
    "neg/int32": one("Neg", "int32[30]"),
    "neg/int64": one("Neg", "int64[30]"),
    "abs/rank_5": one("Abs", "float32[1, 2, 3, 2, 2]"),
    "logicalnot/rank_2": one("LogicalNot", "bool[3, 5]"),
    **{
        f"cast/{source}_to_{target}": one("Cast", f"{source}[3, 8]", feed, to=target)
        for source, target, feed in [
            ("float32", "int32", usual), ("float32", "int64", usual), ("float32", "bool", halves),
            ("float32", "uint8", positive), ("float32", "int8", wide), ("int32", "float32", usual),
            ("int64", "int32", usual), ("int32", "bool", few), ("bool", "float32", usual),
            ("bool", "int32", usual), ("uint8", "float32", usual), ("int8", "float32", usual),
            ("int64", "float32", usual), ("int32", "int16", usual),
        ]
    },
}  # fmt: skip

_ARITHMETIC = {
    f"{op.lower()}/{name}": two(op, a, b)
    for op in ("Add", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference")
    for name, a, b in [
        ("same_shape", "float32[2, 3, 4]", "float32[2, 3, 4]"),
        ("broadcast_row", "float32[2, 3, 4]", "float32[4]"),
        ("broadcast_scalar", "float32[2, 3]", "float32[()]"),
        ("broadcast_both", "float32[2, 1, 4]", "float32[3, 1]"),
        ("broadcast_first", "float32[4]", "float32[2, 3, 4]"),
        ("rank_5", "float32[1, 2, 3, 2, 2]", "float32[1, 2, 3, 2, 2]"),
        ("int32", "int32[2, 5]", "int32[5]"),
    ]
}

_BINARY = {
    **_ARITHMETIC,
    "add/int64": two("Add", "int64[2, 5]", "int64[2, 5]"),
    "sub/int64": two("Sub", "int64[2, 5]", "int64[2, 5]"),
    "mul/int64": two("Mul", "int64[2, 5]", "int64[2, 5]"),
    "add/constant": Case(
        "x: float32[1, 4, 4, 3] = input()\nc = random(3)\ny = Add(x, c)\noutput(y)"),
    "mul/constant_scalar": Case(
        "x: float32[1, 4, 3] = input()\nc: float32[()] = const(0.125)\ny = Mul(x, c)\noutput(y)"),
    "add/same_value_twice": Case("x: float32[2, 3] = input()\ny = Add(x, x)\noutput(y)"),
    **{
        f"{op.lower()}/{activation}": two(
            op, "float32[2, 30]", "float32[2, 30]", wide, nonzero, activation=activation)
        for op in ("Add", "Sub", "Mul", "Div")
        for activation in ("relu", "relu6", "relu_n1_to_1")
    },
    "div/same_shape": two("Div", "float32[2, 30]", "float32[2, 30]", usual, nonzero),
    "div/broadcast": two("Div", "float32[2, 1, 4]", "float32[3, 1]", usual, nonzero),
    "div/int32_toward_zero": two("Div", "int32[80]", "int32[80]", usual, nonzero),
    "pow/float": two("Pow", "float32[2, 9]", "float32[2, 9]", positive, usual),
    "pow/broadcast_square": Case(
        "x: float32[2, 9] = input()\ne: float32[()] = const(2.0)\ny = Pow(x, e)\noutput(y)"),
    "pow/int32": two("Pow", "int32[20]", "int32[20]", few, positive),
    "floordiv/float": two("FloorDiv", "float32[40]", "float32[40]", usual, nonzero),
    "floordiv/int32": two("FloorDiv", "int32[80]", "int32[80]", usual, nonzero),
    "floormod/float": two("FloorMod", "float32[40]", "float32[40]", usual, nonzero),
    "floormod/int32": two("FloorMod", "int32[80]", "int32[80]", usual, nonzero),
    "floormod/int64": two("FloorMod", "int64[80]", "int64[80]", usual, nonzero),
    "floormod/broadcast": two("FloorMod", "int32[4, 5]", "int32[5]", usual, nonzero),
    "atan2/same_shape": two("Atan2", "float32[50]", "float32[50]"),
    "logicaland/same_shape": two("LogicalAnd", "bool[3, 8]", "bool[3, 8]"),
    "logicaland/broadcast": two("LogicalAnd", "bool[3, 1]", "bool[8]"),
    "logicalor/same_shape": two("LogicalOr", "bool[3, 8]", "bool[3, 8]"),
    "bitwisexor/int32": two("BitwiseXor", "int32[40]", "int32[40]"),
    "bitwisexor/broadcast": two("BitwiseXor", "int32[3, 8]", "int32[8]"),
    "bitwisexor/int8": two("BitwiseXor", "int8[40]", "int8[40]"),
    "bitwisexor/uint8": two("BitwiseXor", "uint8[40]", "uint8[40]"),
    "rightshift/int32": two("RightShift", "int32[40]", "int32[40]", usual, below(5)),
    "rightshift/uint8": two("RightShift", "uint8[40]", "uint8[40]", usual, below(5)),
    **{
        f"{op.lower()}/{name}": two(op, a, b, few, few)
        for op in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual")
        for name, a, b in [
            ("float", "float32[3, 10]", "float32[3, 10]"),
            ("broadcast", "float32[3, 10]", "float32[3, 1]"),
            ("int32", "int32[3, 10]", "int32[10]"),
            ("int64", "int64[30]", "int64[30]"),
        ]
    },
    "equal/bool": two("Equal", "bool[3, 8]", "bool[3, 8]"),
    **{
        f"where/{name}": Case(
            f"c: bool[{c}] = input()\na: {a} = input()\nb: {b} = input()\n"
            "y = Where(c, a, b)\noutput(y)")
        for name, c, a, b in [
            ("same_shape", "2, 3, 4", "float32[2, 3, 4]", "float32[2, 3, 4]"),
            ("broadcast_condition", "4", "float32[2, 3, 4]", "float32[2, 3, 4]"),
            ("broadcast_scalar", "2, 3", "float32[()]", "float32[2, 3]"),
            ("broadcast_all", "2, 1, 1", "float32[3, 1]", "float32[4]"),
            ("int32", "8", "int32[8]", "int32[8]"),
        ]
    },
}  # fmt: skip

# -- reductions ------------------------------------------------------------------------------------

_REDUCTIONS = {
    **{
        f"{op.lower()}/{name}": one(op, x, **attrs)
        for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
        for name, x, attrs in [
            ("last", "float32[2, 3, 4]", {"axes": (2,)}),
            ("keep", "float32[2, 3, 4]", {"axes": (1,), "keepdims": True}),
            ("spatial", "float32[2, 4, 5, 3]", {"axes": (1, 2)}),
            ("spatial_keep", "float32[2, 4, 5, 3]", {"axes": (1, 2), "keepdims": True}),
            ("all", "float32[2, 3]", {"axes": (0, 1)}),
            ("negative_axis", "float32[2, 3, 4]", {"axes": (-1, 0)}),
            ("int32", "int32[3, 4]", {"axes": (1,)}),
            ("no_axes", "float32[2, 3]", {"axes": ()}),
            ("scalar", "float32[()]", {"axes": ()}),
        ]
    },
    **{
        f"{op.lower()}/{name}": one(op, x, **attrs)
        for op in ("ReduceAny", "ReduceAll")
        for name, x, attrs in [
            ("last", "bool[8, 2]", {"axes": (1,)}),
            ("keep", "bool[8, 2, 2]", {"axes": (1, 2), "keepdims": True}),
        ]
    },
    **{
        f"{op.lower()}/{name}": one(op, x, feed, **attrs)
        for op in ("ArgMax", "ArgMin")
        for name, x, feed, attrs in [
            ("last", "float32[4, 7]", usual, {"axis": 1}),
            ("first", "float32[4, 7]", usual, {"axis": 0}),
            ("negative_int32", "float32[2, 4, 3]", usual, {"axis": -2, "to": "int32"}),
            ("ties", "float32[6, 9]", few, {"axis": 1}),
            ("of_int32", "int32[4, 7]", usual, {"axis": 1}),
        ]
    },
    "cumsum/first": one("CumSum", axis=0),
    "cumsum/last": one("CumSum", axis=-1),
    "cumsum/exclusive": one("CumSum", axis=1, exclusive=True),
    "cumsum/reverse": one("CumSum", axis=1, reverse=True),
    "cumsum/exclusive_reverse": one("CumSum", axis=2, exclusive=True, reverse=True),
    "cumsum/int32": one("CumSum", "int32[3, 4]", axis=1),
    **{
        f"topk/{name}": Case(
            f"x: {x} = input()\nv, i = TopK(x, k={k})\noutput(v, i)", {"x": feed})
        for name, x, k, feed in [
            ("rank_1", "float32[9]", 3, usual),
            ("rank_2", "float32[4, 9]", 2, usual),
            ("all", "float32[2, 5]", 5, usual),
            ("ties", "float32[3, 12]", 4, few),
            ("int32", "int32[2, 9]", 3, usual),
        ]
    },
}  # fmt: skip

# -- shape -----------------------------------------------------------------------------------------

_SHAPES = {
    "reshape/flatten": one("Reshape", shape=(24,)),
    "reshape/expand": one("Reshape", "float32[4, 3]", shape=(1, 2, 2, 3)),
    "reshape/scalar": one("Reshape", "float32[1]", shape=()),
    "reshape/int64": one("Reshape", "int64[2, 3]", shape=(3, 2)),
    "reshape/bool": one("Reshape", "bool[2, 3]", shape=(6,)),
    "transpose/rank_2": one("Transpose", "float32[3, 4]", perm=(1, 0)),
    "transpose/nchw": one("Transpose", "float32[1, 4, 5, 3]", perm=(0, 3, 1, 2)),
    "transpose/rank_3": one("Transpose", perm=(2, 0, 1)),
    "transpose/rank_5": one("Transpose", "float32[1, 2, 3, 2, 4]", perm=(4, 1, 0, 3, 2)),
    "transpose/rank_6": one("Transpose", "float32[1, 2, 3, 2, 2, 3]", perm=(0, 3, 5, 1, 4, 2)),
    "transpose/int32": one("Transpose", "int32[3, 4]", perm=(1, 0)),
    "transpose/bool": one("Transpose", "bool[3, 4]", perm=(1, 0)),
    "concat/last": two("Concat", "float32[2, 3]", "float32[2, 4]", axis=1),
    "concat/first": two("Concat", "float32[2, 3]", "float32[1, 3]", axis=0),
    "concat/negative": two("Concat", "float32[1, 2, 2, 3]", "float32[1, 2, 2, 5]", axis=-1),
    "concat/int32": two("Concat", "int32[2, 3]", "int32[2, 4]", axis=1),
    "concat/three_with_constant": Case(
        "a: float32[2, 3] = input()\nb: float32[2, 1] = input()\nc = random(2, 2)\n"
        "y = Concat(a, c, b, axis=1)\noutput(y)"),
    **{
        f"split/{name}": Case(
            f"x: {x} = input()\na, b, c = Split(x, axis={axis}, sizes={sizes})\noutput(a, b, c)")
        for name, x, axis, sizes in [
            ("equal", "float32[2, 6]", 1, (2, 2, 2)),
            ("unequal", "float32[2, 6]", -1, (1, 3, 2)),
            ("first_axis", "float32[6, 2]", 0, (2, 2, 2)),
            ("int32", "int32[6]", 0, (1, 1, 4)),
        ]
    },
    "transpose/scalar": one("Transpose", "float32[()]", perm=()),
    "concat/empty": two("Concat", "float32[0, 3]", "float32[2, 3]", axis=0),
    "split/nothing": Case(
        "x: float32[4] = input()\na, b = Split(x, axis=0, sizes=(0, 4))\ny = Relu(b)\noutput(y)"),
    "slice/scalar": one("Slice", "float32[()]", begin=(), size=(), stride=()),
    "slice/nothing": Case(
        "x: float32[4] = input()\nz = Slice(x, begin=(1,), size=(0,), stride=(1,))\n"
        "y = Concat(x, z, axis=0)\noutput(y)"),
    "slice/part": one("Slice", begin=(0, 1, 1), size=(2, 2, 3), stride=(1, 1, 1)),
    "slice/stride": one("Slice", "float32[7, 9]", begin=(1, 0), size=(3, 5), stride=(2, 2)),
    "slice/backwards": one("Slice", "float32[7, 9]", begin=(6, 5), size=(7, 3), stride=(-1, -2)),
    "slice/backwards_part": one("Slice", "float32[9]", begin=(7,), size=(3,), stride=(-2,)),
    "slice/rank_4": one("Slice", "float32[1, 6, 6, 3]", begin=(0, 1, 2, 0), size=(1, 4, 3, 2),
                        stride=(1, 1, 1, 1)),
    "slice/rank_5": one("Slice", "float32[1, 2, 4, 3, 2]", begin=(0, 0, 1, 1, 0),
                        size=(1, 2, 2, 2, 2), stride=(1, 1, 1, 1, 1)),
    "slice/rank_5_stride": one("Slice", "float32[1, 2, 4, 3, 2]", begin=(0, 0, 1, 0, 0),
                               size=(1, 2, 2, 2, 2), stride=(1, 1, 2, 2, 1)),
    "slice/int64": one("Slice", "int64[8]", begin=(2,), size=(3,), stride=(1,)),
    "slice/bool_stride": one("Slice", "bool[8]", begin=(1,), size=(3,), stride=(2,)),
    "pad/nothing": one("Pad", "float32[2, 3]", pads=((0, 0), (0, 0)), mode="edge"),
    "pad/zeros": one("Pad", "float32[2, 3]", pads=((1, 2), (0, 3))),
    "pad/value": one("Pad", "float32[2, 3]", pads=((1, 0), (2, 1)), value=1.5),
    "pad/spatial": one("Pad", "float32[1, 4, 4, 2]", pads=((0, 0), (1, 2), (2, 1), (0, 0))),
    "pad/rank_5": one("Pad", "float32[1, 2, 2, 3, 2]", pads=((0, 0), (1, 0), (0, 0), (1, 1),
                                                          (0, 2))),
    "pad/int32_value": one("Pad", "int32[3]", pads=((1, 2),), value=7),
    "pad/reflect": one("Pad", "float32[4, 5]", pads=((1, 2), (3, 0)), mode="reflect"),
    "pad/symmetric": one("Pad", "float32[4, 5]", pads=((1, 2), (3, 0)), mode="symmetric"),
    "pad/reflect_spatial": one("Pad", "float32[1, 4, 5, 2]",
                               pads=((0, 0), (1, 1), (2, 2), (0, 0)), mode="reflect"),
    "pad/cut": one("Pad", "float32[4, 5]", pads=((-1, 2), (1, -2))),
    "pad/edge": one("Pad", "float32[4, 5]", pads=((1, 2), (3, 0)), mode="edge"),
    "tile/scalar": one("Tile", "float32[()]", multiples=()),
    "tile/rank_3": one("Tile", multiples=(1, 2, 3)),
    "tile/int32": one("Tile", "int32[2, 1]", multiples=(2, 3)),
    "tile/bool": one("Tile", "bool[3]", multiples=(2,)),
    "broadcastto/rank_2": one("BroadcastTo", "float32[3, 1]", shape=(3, 4)),
    "broadcastto/more_rank": one("BroadcastTo", "float32[3, 1]", shape=(2, 3, 4)),
    "broadcastto/scalar": one("BroadcastTo", "float32[()]", shape=(2, 3)),
    "broadcastto/int32": one("BroadcastTo", "int32[1, 3]", shape=(4, 3)),
    "reverse/last": one("Reverse", axes=(2,)),
    "reverse/first": one("Reverse", "int32[5, 2]", axes=(0,)),
    "reverse/two_axes": one("Reverse", axes=(1, 2)),
    "reverse/apart": one("Reverse", axes=(0, 2)),
}  # fmt: skip

# -- indices ---------------------------------------------------------------------------------------

_INDEXING = {
    **{
        f"gather/{name}": two("Gather", x, i, usual, below(3), **attrs)
        for name, x, i, attrs in [
            ("first", "float32[5, 4]", "int32[3]", {}),
            ("last", "float32[2, 3, 4]", "int32[5]", {"axis": -1}),
            ("scalar_index", "float32[5, 4]", "int32[()]", {}),
            ("matrix_of_indices", "float32[4, 3]", "int32[2, 3]", {"axis": 1}),
            ("int64_indices", "float32[5, 4]", "int64[3]", {}),
            ("of_int32", "int32[5]", "int32[3]", {}),
            ("batch", "float32[2, 5, 3]", "int32[2, 4]", {"axis": 1, "batch_dims": 1}),
            ("batch_later_axis", "float32[2, 4, 5, 3]", "int32[2, 4]",
             {"axis": 2, "batch_dims": 1}),
        ]
    },
    "gather/table": Case(
        "i: int32[1, 6] = input()\nt = random(10, 4)\ny = Gather(t, i)\noutput(y)",
        {"i": below(10)}),
    "gathernd/rows": two("GatherNd", "float32[3, 4]", "int32[5, 1]", usual, below(3)),
    "gathernd/elements": two("GatherNd", "float32[3, 4]", "int32[5, 2]", usual, below(3)),
    "gathernd/slices_rank_3": two("GatherNd", "float32[3, 4, 2]", "int32[2, 3, 2]", usual,
                                  below(3)),
    "scatternd/elements": two("ScatterNd", "int32[4, 1]", "float32[4]", among(4, 3, 1, 7),
                              shape=(8,)),
    "scatternd/rows": two("ScatterNd", "int32[2, 1]", "float32[2, 3]", among(3, 0), shape=(4, 3)),
    "scatternd/meet": two("ScatterNd", "int32[4, 1]", "float32[4]", among(1, 3, 1, 3), shape=(5,)),
    "scatternd/int32": two("ScatterNd", "int32[3, 2]", "int32[3]", among(0, 1, 2, 0, 1, 1),
                           shape=(3, 2)),
    **{
        f"onehot/{name}": Case(
            f"x: {x} = input()\n{_call('OneHot', 'x', attrs)}", {"x": below(5)})
        for name, x, attrs in [
            ("last", "int32[4]", {"depth": 5}),
            ("first", "int32[4]", {"depth": 5, "axis": 0}),
            ("rank_2_middle", "int32[2, 3]", {"depth": 5, "axis": 1}),
            ("levels", "int32[4]", {"depth": 5, "on": 2.5, "off": -1.0}),
            ("out_of_range", "int32[9]", {"depth": 3}),
            ("to_int32", "int32[4]", {"depth": 5, "on": 1, "off": 0, "to": "int32"}),
            ("of_int64", "int64[4]", {"depth": 5}),
        ]
    },
    **{
        f"dynamicupdateslice/{name}": Case(
            "x: float32[4, 5] = input()\nu: float32[2, 3] = input()\ns: int32[2] = input()\n"
            "y = DynamicUpdateSlice(x, u, s)\noutput(y)", {"s": among(*start)})
        for name, start in [("inside", (1, 2)), ("moved_inside", (3, 4)), ("negative", (-1, 0))]
    },
}  # fmt: skip

# -- recurrence ------------------------------------------------------------------------------------


def _lstm(x: str, batch: int, /, **attrs: Any) -> Case:
    weights = "".join(f"w{g} = random(4, 3)\nr{g} = random(4, 4)\nb{g} = random(4)\n"
                      for g in "ifco")  # fmt: skip
    names = "wi, wf, wc, wo, ri, rf, rc, ro, None, None, None, bi, bf, bc, bo, None, None, h, c"
    states = f"h = full(0.0, {batch}, 4)\nc = full(0.0, {batch}, 4)\n"
    text = f"x: {x} = input()\n{weights}{states}{_call('Lstm', f'x, {names}', attrs)}"
    return Case(text, rtol=1e-4, atol=1e-5, why="errors of one step go into the next")


_RECURRENCE = {
    "lstm/batch_first": _lstm("float32[2, 5, 3]", 2),
    "lstm/time_first": _lstm("float32[5, 2, 3]", 2, time_major=True),
    "lstm/cell_clip": _lstm("float32[1, 6, 3]", 1, cell_clip=0.5),
}

# -- normalization ---------------------------------------------------------------------------------


def _normalization(op: str, x: str, parameters: str, rest: str = "", /, **attrs: Any) -> Case:
    names = [line.split(" =")[0].split(":")[0] for line in parameters.splitlines()]
    text = f"x: {x} = input()\n{parameters}\n{_call(op, ', '.join(['x', *names]), attrs)}"
    return Case(text, rtol=1e-4, atol=1e-5, why="a mean of squares, added up in another order")


_GAIN = "g = random({0})\nb = random({0})"
_BATCH = "g = random(3)\nb = random(3)\nm = random(3)\nv = const([0.5, 1.0, 2.0])"

_NORMALIZATIONS = {
    "batchnorm/last": _normalization("BatchNorm", "float32[2, 4, 4, 3]", _BATCH),
    "batchnorm/eps": _normalization("BatchNorm", "float32[2, 3]", _BATCH, eps=0.1),
    "batchnorm/second": _normalization("BatchNorm", "float32[2, 3, 4]", _BATCH, axis=1),
    "layernorm/last": _normalization("LayerNorm", "float32[2, 3, 8]", _GAIN.format(8)),
    "layernorm/two_dims": _normalization("LayerNorm", "float32[2, 3, 8]", _GAIN.format("3, 8"),
                                         axis=1),
    "layernorm/eps": _normalization("LayerNorm", "float32[2, 8]", _GAIN.format(8), eps=0.5),
    "layernorm/plain": one("LayerNorm", "float32[2, 8]"),
    "layernorm/gamma_only": _normalization("LayerNorm", "float32[2, 8]", "g = random(8)"),
    "rmsnorm/last": _normalization("RmsNorm", "float32[2, 3, 8]", "g = random(8)"),
    "rmsnorm/plain": one("RmsNorm", "float32[2, 8]", eps=0.5),
    "rmsnorm/two_dims": _normalization("RmsNorm", "float32[2, 3, 8]", "g = random(3, 8)", axis=1),
    "l2norm/rank_2": one("L2Norm", "float32[3, 8]"),
    "l2norm/rank_4": one("L2Norm", "float32[1, 2, 3, 8]"),
    "l2norm/zero_row": one("L2Norm", "float32[2, 4]", among(0, 0, 0, 0, 3, 0, 4, 0)),
    "lrn/radius_2": one("Lrn", "float32[1, 2, 3, 8]", radius=2, bias=2.0, alpha=0.5, beta=0.75),
    "lrn/defaults": one("Lrn", "float32[2, 2, 2, 4]", radius=1),
    "lrn/wider_than_channels": one("Lrn", "float32[1, 2, 2, 3]", radius=5, alpha=0.1),
}  # fmt: skip

# -- storage types ---------------------------------------------------------------------------------

_HYBRID = "TFLite quantizes the activations to 8 bits on the fly, in steps of 1/127 of the range"

_STORAGE = {
    "dequantize/float16_weights": Case(
        "x: float32[2, 6] = input()\nh: float16[4, 6] = random()\nw = Dequantize(h)\n"
        "y = FullyConnected(x, w)\noutput(y)", rtol=1e-4, atol=1e-4, why=SUMS),
    "dequantize/bfloat16_weights": Case(
        "x: float32[2, 6] = input()\nh: bfloat16[4, 6] = random()\nw = Dequantize(h)\n"
        "y = FullyConnected(x, w)\noutput(y)", rtol=1e-4, atol=1e-4, why=SUMS),
    "dequantize/bfloat16_convolution": Case(
        "x: float32[1, 5, 5, 3] = input()\nh: bfloat16[4, 3, 3, 3] = random()\n"
        "w = Dequantize(h)\ny = Conv2d(x, w)\noutput(y)", rtol=1e-4, atol=1e-4, why=SUMS),
    "dequantize/float16_bias": Case(
        "x: float32[2, 6] = input()\nh: float16[4, 6] = random()\nw = Dequantize(h)\n"
        "c: float16[4] = random()\nb = Dequantize(c)\ny = FullyConnected(x, w, b)\noutput(y)",
        rtol=1e-4, atol=1e-4, why=SUMS),
    "dequantize/float16_convolution": Case(
        "x: float32[1, 5, 5, 3] = input()\nh: float16[4, 3, 3, 3] = random()\n"
        "w = Dequantize(h)\ny = Conv2d(x, w)\noutput(y)", rtol=1e-4, atol=1e-4, why=SUMS),
    "dequantize/int8_weights": Case(
        "x: float32[2, 6] = input()\nh: int8[4, 6] @ q(0.01, 0) = random()\n"
        "w = Dequantize(h)\ny = FullyConnected(x, w)\noutput(y)", rtol=1e-4, atol=1e-4, why=SUMS),
}  # fmt: skip

CASES: dict[str, Case] = {
    **_CONVOLUTIONS,
    **_POOLING,
    **_ACTIVATIONS,
    **_UNARY,
    **_BINARY,
    **_REDUCTIONS,
    **_SHAPES,
    **_INDEXING,
    **_RECURRENCE,
    **_NORMALIZATIONS,
    **_STORAGE,
}

# Weights that are stored in 8 bits while everything else is real; apart, since runtimes differ in
# how they compute with them (see `Case.why`).
HYBRID_CASES: dict[str, Case] = {
    f"{op.lower()}/{name}": Case(
        f"x: float32[{x}] = input()\nw: int8[{w}] @ {quant} = random()\n"
        f"{_call(op, 'x, w', {})}", rtol=0, atol=atol, why=_HYBRID)
    for op, name, x, w, quant, atol in [
        ("Conv2d", "per_tensor", "1, 5, 5, 3", "4, 3, 3, 3", "q(0.01, 0)", 0.05),
        ("Conv2d", "per_channel", "1, 5, 5, 3", "4, 3, 3, 3",
         "q([0.01, 0.02, 0.005, 0.01], axis=0)", 0.1),
        ("DepthwiseConv2d", "per_channel", "1, 5, 5, 4", "1, 3, 3, 4",
         "q([0.01, 0.02, 0.005, 0.01], axis=3)", 0.1),
        ("FullyConnected", "per_tensor", "2, 16", "4, 16", "q(0.01, 0)", 0.05),
    ]
}  # fmt: skip
