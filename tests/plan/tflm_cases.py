"""One small model for each kernel whose share of the arena the planner knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tiny_tflite import Op, Tensor, build  # isort: skip

Q = {"scale": 0.05, "zero": 3}


def _single(
    kind: str,
    x: Tensor,
    y: Tensor,
    options_class: str = "",
    options: dict[str, object] | None = None,
    **operands: Tensor,
) -> bytes:
    tensors = {"x": x, **operands, "y": y}
    feeds = [name for name, t in tensors.items() if t.data is None and name != "y"]
    feeds = [name for name in feeds if not tensors[name].variable]
    op = Op(kind, ["x", *operands], ["y"], options or {}, options_class)
    return build(tensors, [op], feeds, ["y"])


def _float(*shape: int) -> Tensor:
    return Tensor(shape, "float32")


def _int8(*shape: int) -> Tensor:
    return Tensor(shape, "int8", **Q)


def _ints(*values: int) -> Tensor:
    return Tensor((len(values),), "int32", np.array(values, np.int32))


def _weights(*shape: int, axis: int = 0, channels: int = 0) -> Tensor:
    data = np.ones(shape, np.int8)
    return Tensor(shape, "int8", data, [0.01] * channels if channels else 0.01, 0, axis)


def _bias(n: int, channels: int = 0) -> Tensor:
    scale = [0.0005] * channels if channels else 0.0005
    return Tensor((n,), "int32", np.zeros(n, np.int32), scale)


def _float_const(*shape: int) -> Tensor:
    return Tensor(shape, "float32", np.ones(shape, np.float32))


CONV = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 0}
POOL = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2, "padding": 1}


def conv(kind: str = "CONV_2D", *, quantized: bool = True) -> bytes:
    depthwise = kind == "DEPTHWISE_CONV_2D"
    shape = (1, 3, 3, 5) if depthwise else (5, 3, 3, 5)
    options = {**CONV, "depthMultiplier": 1} if depthwise else CONV
    name = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    if not quantized:
        return _single(
            kind, _float(1, 6, 7, 5), _float(1, 6, 7, 5), name, options,
            w=_float_const(*shape), b=_float_const(5),
        )  # fmt: skip
    return _single(
        kind, _int8(1, 6, 7, 5), _int8(1, 6, 7, 5), name, options,
        w=_weights(*shape, axis=3 if depthwise else 0, channels=5), b=_bias(5, 5),
    )  # fmt: skip


def dense(channels: int = 0, *, quantized: bool = True) -> bytes:
    if not quantized:
        return _single(
            "FULLY_CONNECTED", _float(2, 12), _float(2, 7), "FullyConnectedOptions",
            w=_float_const(7, 12), b=_float_const(7),
        )  # fmt: skip
    return _single(
        "FULLY_CONNECTED", _int8(2, 12), _int8(2, 7), "FullyConnectedOptions",
        w=_weights(7, 12, channels=channels), b=_bias(7, channels),
    )  # fmt: skip


def transpose_conv(*, quantized: bool = True) -> bytes:
    shape = np.array((1, 8, 8, 4), np.int32)
    x, y = (_int8, _int8) if quantized else (_float, _float)
    tensors = {
        "shape": Tensor((4,), "int32", shape),
        "w": _weights(4, 3, 3, 6, channels=4) if quantized else _float_const(4, 3, 3, 6),
        "x": x(1, 4, 4, 6),
        "y": y(1, 8, 8, 4),
    }
    options = {"strideH": 2, "strideW": 2, "padding": 0}
    op = Op("TRANSPOSE_CONV", ["shape", "w", "x"], ["y"], options, "TransposeConvOptions")
    return build(tensors, [op], ["x"], ["y"])


def matmul(*, quantized: bool, constant: bool = False, adj_x: bool = False) -> bytes:
    make = _int8 if quantized else _float
    lhs = make(1, 2, 6, 5) if adj_x else make(1, 2, 5, 6)
    rhs = make(1, 2, 6, 7)
    if constant:
        rhs.data = np.ones(rhs.shape, rhs.dtype)
    options = {"adjX": adj_x, "adjY": False}
    return _single("BATCH_MATMUL", lhs, make(1, 2, 5, 7), "BatchMatMulOptions", options, b=rhs)


def unary(kind: str, x: Tensor | None = None, y: Tensor | None = None) -> bytes:
    return _single(kind, x or _float(1, 6, 5), y or _float(1, 6, 5))


def binary(kind: str, *, quantized: bool, options_class: str = "") -> bytes:
    make = _int8 if quantized else _float
    return _single(kind, make(1, 6, 5), make(1, 6, 5), options_class, b=make(1, 6, 5))


def compare(kind: str) -> bytes:
    return _single(kind, _float(1, 6, 5), Tensor((1, 6, 5), "bool"), b=_float(1, 6, 5))


def pool(kind: str, *, quantized: bool) -> bytes:
    make = _int8 if quantized else _float
    return _single(kind, make(1, 6, 8, 5), make(1, 3, 4, 5), "Pool2DOptions", POOL)


def reduce(kind: str, *, quantized: bool) -> bytes:
    make = _int8 if quantized else _float
    return _single(kind, make(1, 6, 8, 5), make(1, 5), "ReducerOptions", a=_ints(1, 2))


def softmax(kind: str = "SOFTMAX", dtype: str = "float32") -> bytes:
    quant = {
        "float32": ({}, {}),
        "int8": ({"scale": 0.1, "zero": 2}, {"scale": 1 / 256, "zero": -128}),
        "int16": ({"scale": 0.001, "zero": 0}, {"scale": 1 / 32768, "zero": 0}),
    }[dtype]
    x, y = (Tensor((2, 9), dtype, **q) for q in quant)
    if kind == "LOG_SOFTMAX":
        return _single(kind, x, y)
    return _single(kind, x, y, "SoftmaxOptions", {"beta": 1.0})


def concat(*, quantized: bool) -> bytes:
    make = _int8 if quantized else _float
    return _single("CONCATENATION", make(1, 6, 5), make(1, 6, 9), "ConcatenationOptions",
                   {"axis": 2}, b=make(1, 6, 4))  # fmt: skip


def split() -> bytes:
    tensors = {"axis": Tensor((), "int32", np.array(1, np.int32)), "x": _int8(1, 6, 5)}
    tensors |= {"y": _int8(1, 3, 5), "z": _int8(1, 3, 5)}
    op = Op("SPLIT", ["axis", "x"], ["y", "z"], {"numSplits": 2}, "SplitOptions")
    return build(tensors, [op], ["x"], ["y", "z"])


def unused() -> bytes:
    """A tensor that nobody uses, larger than all others together."""
    tensors = {"big": _int8(1, 500), "x": _int8(1, 300), "y": _int8(1, 300)}
    return build(tensors, [Op("RELU", ["x"], ["y"])], ["x"], ["y"])


def branches() -> bytes:
    """Two branches of unequal size that join, and a reshape."""
    tensors = {
        "x": _int8(1, 6, 6, 4),
        "w": _weights(8, 1, 1, 4, channels=8),
        "b": _bias(8, 8),
        "wide": _int8(1, 6, 6, 8),
        "w2": _weights(4, 3, 3, 8, channels=4),
        "b2": _bias(4, 4),
        "narrow": _int8(1, 6, 6, 4),
        "sum": _int8(1, 6, 6, 4),
        "to": _ints(1, 144),
        "y": _int8(1, 144),
    }
    ops = [
        Op("CONV_2D", ["x", "w", "b"], ["wide"], CONV, "Conv2DOptions"),
        Op("CONV_2D", ["wide", "w2", "b2"], ["narrow"], CONV, "Conv2DOptions"),
        Op("ADD", ["x", "narrow"], ["sum"], {}, "AddOptions"),
        Op("RESHAPE", ["sum", "to"], ["y"], {"newShape": [1, 144]}, "ReshapeOptions"),
    ]
    return build(tensors, ops, ["x"], ["y", "wide"])


def svdf() -> bytes:
    tensors = {
        "x": _int8(1, 8),
        "wf": Tensor((6, 8), "int8", np.ones((6, 8), np.int8), 0.02),
        "wt": Tensor((6, 4), "int16", np.ones((6, 4), np.int16), 0.01),
        "b": Tensor((3,), "int32", np.zeros(3, np.int32), 0.0005),
        "state": Tensor((1, 24), "int16", None, 0.05, 0, variable=True),
        "y": _int8(1, 3),
    }
    tensors["b"].scale = 0.05 * 0.01
    op = Op("SVDF", ["x", "wf", "wt", "b", "state"], ["y"], {"rank": 2}, "SVDFOptions")
    return build(tensors, [op], ["x"], ["y"])


def add_n(*, quantized: bool) -> bytes:
    make = _int8 if quantized else _float
    return _single("ADD_N", make(1, 6, 5), make(1, 6, 5), b=make(1, 6, 5), c=make(1, 6, 5))


STRIDED = {"beginMask": 0, "endMask": 0}

CASES: dict[str, Callable[[], bytes]] = {
    "branches": branches,
    "unused tensor": unused,
    "conv int8": lambda: conv(),
    "conv float": lambda: conv(quantized=False),
    "depthwise int8": lambda: conv("DEPTHWISE_CONV_2D"),
    "depthwise float": lambda: conv("DEPTHWISE_CONV_2D", quantized=False),
    "dense int8": lambda: dense(),
    "dense int8 per-channel": lambda: dense(7),
    "dense float": lambda: dense(quantized=False),
    "transpose conv int8": lambda: transpose_conv(),
    "transpose conv float": lambda: transpose_conv(quantized=False),
    "matmul int8": lambda: matmul(quantized=True),
    "matmul int8, constant": lambda: matmul(quantized=True, constant=True),
    "matmul int8, adj_x": lambda: matmul(quantized=True, adj_x=True),
    "matmul float": lambda: matmul(quantized=False),
    "average pool int8": lambda: pool("AVERAGE_POOL_2D", quantized=True),
    "max pool float": lambda: pool("MAX_POOL_2D", quantized=False),
    "mean int8": lambda: reduce("MEAN", quantized=True),
    "mean float": lambda: reduce("MEAN", quantized=False),
    "sum int8": lambda: reduce("SUM", quantized=True),
    "reduce max int8": lambda: reduce("REDUCE_MAX", quantized=True),
    "reduce min float": lambda: reduce("REDUCE_MIN", quantized=False),
    "softmax float": lambda: softmax(),
    "softmax int8": lambda: softmax(dtype="int8"),
    "softmax int16": lambda: softmax(dtype="int16"),
    "log softmax float": lambda: softmax("LOG_SOFTMAX"),
    "log softmax int8": lambda: _single(
        "LOG_SOFTMAX", _int8(2, 9), Tensor((2, 9), "int8", scale=16 / 256, zero=127)
    ),
    "concat int8": lambda: concat(quantized=True),
    "concat float": lambda: concat(quantized=False),
    "split": split,
    "svdf int8": svdf,
    "add n int8": lambda: add_n(quantized=True),
    "add n float": lambda: add_n(quantized=False),
    "cumsum int8": lambda: _single(
        "CUMSUM", _int8(1, 6), _int8(1, 6), "CumsumOptions",
        a=Tensor((), "int32", np.array(1, np.int32)),
    ),
    "cumsum float": lambda: _single(
        "CUMSUM", _float(1, 6), _float(1, 6), "CumsumOptions",
        a=Tensor((), "int32", np.array(1, np.int32)),
    ),
    "gather": lambda: _single(
        "GATHER", _float(4, 6), _float(3, 6), "GatherOptions", {"axis": 0}, i=_ints(0, 2, 1)
    ),
    "gather nd": lambda: _single(
        "GATHER_ND", _float(4, 6), _float(3, 6),
        i=Tensor((3, 1), "int32", np.array([[0], [2], [1]], np.int32)),
    ),
    "depth to space": lambda: _single(
        "DEPTH_TO_SPACE", _int8(1, 3, 3, 8), _int8(1, 6, 6, 2), "DepthToSpaceOptions",
        {"blockSize": 2},
    ),
    "space to depth": lambda: _single(
        "SPACE_TO_DEPTH", _int8(1, 6, 6, 2), _int8(1, 3, 3, 8), "SpaceToDepthOptions",
        {"blockSize": 2},
    ),
    "space to batch": lambda: _single(
        "SPACE_TO_BATCH_ND", _float(1, 4, 4, 2), _float(4, 2, 2, 2),
        s=_ints(2, 2), p=Tensor((2, 2), "int32", np.zeros((2, 2), np.int32)),
    ),
    "batch to space": lambda: _single(
        "BATCH_TO_SPACE_ND", _float(4, 2, 2, 2), _float(1, 4, 4, 2),
        s=_ints(2, 2), p=Tensor((2, 2), "int32", np.zeros((2, 2), np.int32)),
    ),
    "pad int8": lambda: _single(
        "PAD", _int8(1, 4, 4, 2), _int8(1, 6, 6, 2),
        p=Tensor((4, 2), "int32", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)),
    ),
    "mirror pad": lambda: _single(
        "MIRROR_PAD", _float(1, 4), _float(1, 6), "MirrorPadOptions", {"mode": 0},
        p=Tensor((2, 2), "int32", np.array([[0, 0], [1, 1]], np.int32)),
    ),
    "strided slice": lambda: _single(
        "STRIDED_SLICE", _int8(1, 6), _int8(1, 3), "StridedSliceOptions", STRIDED,
        b=_ints(0, 0), e=_ints(1, 6), s=_ints(1, 2),
    ),
    "slice": lambda: _single(
        "SLICE", _int8(1, 6), _int8(1, 3), b=_ints(0, 2), s=_ints(1, 3)
    ),
    "transpose": lambda: _single("TRANSPOSE", _int8(3, 6), _int8(6, 3), p=_ints(1, 0)),
    "reshape": lambda: _single(
        "RESHAPE", _int8(3, 6), _int8(18), "ReshapeOptions", {"newShape": [18]}, s=_ints(18)
    ),
    "squeeze": lambda: _single("SQUEEZE", _int8(1, 6), _int8(6), "SqueezeOptions",
                               {"squeezeDims": [0]}),
    "expand dims": lambda: _single("EXPAND_DIMS", _int8(6), _int8(1, 6), a=_ints(0)),
    "resize nearest": lambda: _single(
        "RESIZE_NEAREST_NEIGHBOR", _int8(1, 3, 3, 2), _int8(1, 6, 6, 2),
        "ResizeNearestNeighborOptions", s=_ints(6, 6),
    ),
    "resize bilinear": lambda: _single(
        "RESIZE_BILINEAR", _int8(1, 3, 3, 2), _int8(1, 6, 6, 2), "ResizeBilinearOptions",
        s=_ints(6, 6),
    ),
    "pack": lambda: _single(
        "PACK", _float(6), _float(2, 6), "PackOptions", {"valuesCount": 2}, b=_float(6)
    ),
    "arg max": lambda: _single(
        "ARG_MAX", _int8(1, 6), Tensor((1,), "int32"), "ArgMaxOptions", {"outputType": 2},
        a=_ints(1),
    ),
    "cast": lambda: _single("CAST", _float(1, 6), Tensor((1, 6), "int32"), "CastOptions"),
    "quantize": lambda: unary("QUANTIZE", _float(1, 30), _int8(1, 30)),
    "dequantize": lambda: unary("DEQUANTIZE", _int8(1, 30), _float(1, 30)),
    "prelu": lambda: _single("PRELU", _float(1, 6), _float(1, 6), a=_float_const(1, 6)),
    "leaky relu": lambda: _single(
        "LEAKY_RELU", _int8(1, 6), _int8(1, 6), "LeakyReluOptions", {"alpha": 0.1}
    ),
    "hard swish": lambda: unary("HARD_SWISH", _int8(1, 30), _int8(1, 30)),
    "elu": lambda: unary("ELU", _int8(1, 30), _int8(1, 30)),
    "logistic": lambda: unary(
        "LOGISTIC", _int8(1, 30), Tensor((1, 30), "int8", scale=1 / 256, zero=-128)
    ),
    "tanh": lambda: unary(
        "TANH", _int8(1, 30), Tensor((1, 30), "int8", scale=1 / 128, zero=0)
    ),
    "relu int8": lambda: unary("RELU", _int8(1, 30), _int8(1, 30)),
    "relu6 int8": lambda: unary("RELU6", _int8(1, 30), _int8(1, 30)),
    "abs": lambda: unary("ABS"),
    "rsqrt": lambda: unary("RSQRT"),
    "exp": lambda: unary("EXP"),
    "floor": lambda: unary("FLOOR"),
    "square": lambda: unary("SQUARE"),
    "l2 norm": lambda: _single(
        "L2_NORMALIZATION", _int8(1, 30), Tensor((1, 30), "int8", scale=1 / 128, zero=0),
        "L2NormOptions",
    ),
    "add int8": lambda: binary("ADD", quantized=True, options_class="AddOptions"),
    "sub int8": lambda: binary("SUB", quantized=True, options_class="SubOptions"),
    "mul int8": lambda: binary("MUL", quantized=True, options_class="MulOptions"),
    "div float": lambda: binary("DIV", quantized=False, options_class="DivOptions"),
    "maximum": lambda: binary("MAXIMUM", quantized=True),
    "squared difference": lambda: binary("SQUARED_DIFFERENCE", quantized=True),
    "floor div": lambda: binary("FLOOR_DIV", quantized=False),
    "greater": lambda: compare("GREATER"),
    "equal": lambda: compare("EQUAL"),
    "select": lambda: _single(
        "SELECT_V2", Tensor((1, 6), "bool"), _float(1, 6), a=_float(1, 6), b=_float(1, 6)
    ),
}  # fmt: skip
