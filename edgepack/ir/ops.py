"""The op table: attributes, shape rule, MACs and quantization rule of every operator.

To add an operator, add its row here, its function in `kernels/`, its lowering in each writer, how
it commutes with transposes in `passes/layout_rules.py` (unless its kind says it) and its case in
`tests/op_cases.py`; `tests/ir/test_completeness.py` names what is missing.

`inputs` is a signature: "x w b?" has an optional third input, "x*" takes any number. Every
attribute has a default or is REQUIRED. Spatial operators carry `layout`; their values are NHWC but
between a reader or the ONNX writer and the layout pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from edgepack.errors import BadModel, InternalError
from edgepack.ir import macs, shapes
from edgepack.ir.dtypes import DType
from edgepack.ir.shapes import Inputs, ShapeRule, Spec
from edgepack.ir.value import Node

REQUIRED: Final = object()

ACTIVATIONS: Final = ("none", "relu", "relu6", "relu_n1_to_1")


@dataclass(frozen=True, slots=True)
class QuantRule:
    """How quantization treats an operator, after the TFLite 8-bit specification.

    `output`: "observed" takes its parameters from the range seen in calibration; "same" shares
    those of every quantized input (which must then be equal among themselves); "fixed" has the
    (scale, zero_point) of `fixed`; "float" means no integer kernel exists and the node stays float;
    "integer" means the operator does not care (indices, masks).
    `weight` and `bias` are input indices: weights are symmetric, per channel along `axis`; the bias
    is int32 (int64 with int16 activations), zero point 0, scale input * weights.
    `rescales`: kernels take an input in other parameters than the output's.
    """

    output: Literal["observed", "same", "fixed", "float", "integer"] = "observed"
    fixed: Mapping[DType, tuple[float, int]] = field(default_factory=dict)
    weight: int | None = None
    axis: int = 0
    bias: int | None = None
    rescales: bool = True


OBSERVED = QuantRule()
SAME = QuantRule("same")
FLOAT = QuantRule("float")
INTEGER = QuantRule("integer")
UNIT_RANGE = QuantRule(  # 0..1: softmax, sigmoid
    "fixed",
    {DType.INT8: (1 / 256, -128), DType.UINT8: (1 / 256, 0), DType.INT16: (1 / 32768, 0)},
)
LOG_RANGE = QuantRule(  # -16..0: log-softmax
    "fixed", {DType.INT8: (16 / 256, 127), DType.UINT8: (16 / 256, 255)}
)
SYMMETRIC_UNIT_RANGE = QuantRule(  # -1..1: tanh
    "fixed",
    {DType.INT8: (1 / 128, 0), DType.UINT8: (1 / 128, 128), DType.INT16: (1 / 32768, 0)},
)
UNIT_LENGTH = QuantRule(  # -1..1: L2 normalization, which no runtime has in 16 bits
    "fixed", {DType.INT8: (1 / 128, 0), DType.UINT8: (1 / 128, 128)}
)
WEIGHTED = QuantRule(weight=1, axis=0, bias=2)
WEIGHTED_LAST = QuantRule(weight=1, axis=3, bias=2)


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the table; `doc` is a line of the supported-operators page.

    `kind` is how it treats dimensions, by which passes know what it commutes with. "elementwise":
    element i of the output depends on element i of the (broadcast) inputs alone, so it may be
    written over an input. "reduction": over `axes`. "axis": along one `axis`, and the output has
    the dimensions of the input. "last": on the last dimension, or on those from `axis` on. "own":
    in a way of its own; spatial operators are told by their `layout`. `each` names the attributes
    with an item for each dimension, and what that is for a dimension of 1 which is left alone.
    """

    doc: str
    inputs: str
    shape: ShapeRule
    attrs: Mapping[str, Any] = field(default_factory=dict)
    quant: QuantRule = OBSERVED
    macs: Callable[[Node], int] = macs.none
    kind: Literal["elementwise", "reduction", "axis", "last", "own"] = "own"
    each: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elementwise(self) -> bool:
        """Whether element i of the output depends on element i of the inputs alone."""
        return self.kind == "elementwise"

    @property
    def min_inputs(self) -> int:
        """How many inputs must be there."""
        return sum(not name.endswith(("?", "*")) for name in self.inputs.split())

    @property
    def max_inputs(self) -> int | None:
        """How many inputs may be there; None for any number."""
        names = self.inputs.split()
        return None if any(name.endswith("*") for name in names) else len(names)


def _spatial(**attrs: Any) -> dict[str, Any]:
    return {**attrs, "layout": shapes.NHWC}


_WINDOW = {"stride": (1, 1), "pad": ((0, 0), (0, 0))}  # pad: ((top, bottom), (left, right))
_CONV = {**_WINDOW, "dilation": (1, 1), "activation": "none"}
_CONV3D = {"stride": (1, 1, 1), "pad": ((0, 0), (0, 0), (0, 0)), "dilation": (1, 1, 1),
           "activation": "none", "groups": 1}  # fmt: skip
_POOL = {"kernel": REQUIRED, **_WINDOW, "activation": "none"}
_RESIZE = {"size": REQUIRED, "align_corners": False, "half_pixel": False}


def _unary(doc: str, quant: QuantRule = OBSERVED, **attrs: Any) -> Op:
    return Op(doc, "x", shapes.same, attrs, quant, kind="elementwise")


def _binary(doc: str, quant: QuantRule = OBSERVED, **attrs: Any) -> Op:
    return Op(doc, "a b", shapes.elementwise, attrs, quant, kind="elementwise")


def _reduce(doc: str, quant: QuantRule = OBSERVED) -> Op:
    attrs = {"axes": REQUIRED, "keepdims": False}
    return Op(doc, "x", shapes.reduction, attrs, quant, kind="reduction")


def _compare(doc: str) -> Op:
    return Op(doc, "a b", shapes.comparison, quant=INTEGER, kind="elementwise")


OPS: Final[Mapping[str, Op]] = {
    # -- convolution and dense ---------------------------------------------------------------------
    "Conv2d": Op("2-D convolution, weights OHWI", "x w b?", shapes.convolution,
                 _spatial(**_CONV, groups=1), WEIGHTED, macs.conv2d),
    "DepthwiseConv2d": Op("one filter per channel, weights 1HW(C*M)", "x w b?",
                          shapes.depthwise_conv2d, _spatial(**_CONV), WEIGHTED_LAST,
                          macs.depthwise_conv2d),
    "ConvTranspose2d": Op("transposed convolution, weights OHWI", "x w b?",
                          shapes.transposed_convolution,
                          _spatial(**_CONV, output_pad=(0, 0), groups=1), WEIGHTED,
                          macs.conv_transpose2d),
    "Conv3d": Op("3-D convolution, NDHWC, weights ODHWI", "x w b?", shapes.convolution,
                 _spatial(**_CONV3D), FLOAT, macs.conv2d),
    "ConvTranspose3d": Op("transposed 3-D convolution, NDHWC, weights ODHWI", "x w b?",
                          shapes.transposed_convolution,
                          _spatial(**_CONV3D, output_pad=(0, 0, 0)), FLOAT,
                          macs.conv_transpose2d),
    "FullyConnected": Op("x [..., in] times weights [out, in]; flatten: x as rows of in",
                         "x w b?", shapes.fully_connected,
                         {"activation": "none", "flatten": False}, WEIGHTED,
                         macs.fully_connected, kind="last"),
    "MatMul": Op("batched matrix product", "a b", shapes.matmul,
                 {"adj_a": False, "adj_b": False}, OBSERVED, macs.matmul),
    # -- pooling and resampling --------------------------------------------------------------------
    "MaxPool2d": Op("maximum of each window", "x", shapes.pool2d, _spatial(**_POOL), SAME),
    "AveragePool2d": Op("mean of each window; padding counts with count_include_pad", "x",
                        shapes.pool2d, _spatial(**_POOL, count_include_pad=False), SAME),
    "ResizeNearest": Op("nearest-neighbour resize", "x", shapes.resize, _spatial(**_RESIZE), SAME),
    "ResizeBilinear": Op("bilinear resize", "x", shapes.resize, _spatial(**_RESIZE), SAME),
    "DepthToSpace": Op("channels to pixels, block first (DCR)", "x", shapes.depth_to_space,
                       _spatial(block=REQUIRED), SAME),
    "SpaceToDepth": Op("pixels to channels", "x", shapes.space_to_depth,
                       _spatial(block=REQUIRED), SAME),
    "SpaceToBatch": Op("blocks of pixels to the batch dimension, NHWC", "x",
                       shapes.space_to_batch, {"block": REQUIRED, "pad": REQUIRED}, SAME),
    "BatchToSpace": Op("batch dimension to blocks of pixels, NHWC", "x",
                       shapes.batch_to_space, {"block": REQUIRED, "crop": REQUIRED}, SAME),
    # -- activations -------------------------------------------------------------------------------
    "Relu": _unary("max(x, 0)"),
    # TensorFlow Lite Micro's kernel only clamps, whatever the two scales are
    "Relu6": _unary("min(max(x, 0), 6)", QuantRule(rescales=False)),
    "ReluN1To1": _unary("min(max(x, -1), 1)"),
    "Relu0To1": _unary("min(max(x, 0), 1)", SAME),
    "Clip": _unary("min(max(x, min), max)", SAME, min=REQUIRED, max=REQUIRED),
    "LeakyRelu": _unary("x, or alpha * x where negative", alpha=REQUIRED),
    "PRelu": Op("x, or alpha * x where negative; alpha broadcasts", "x alpha", shapes.elementwise,
                kind="elementwise"),
    "Elu": _unary("x, or exp(x) - 1 where negative"),
    "Sigmoid": _unary("1 / (1 + exp(-x))", UNIT_RANGE),
    "Tanh": _unary("hyperbolic tangent", SYMMETRIC_UNIT_RANGE),
    "HardSwish": _unary("x * relu6(x + 3) / 6"),
    "Gelu": _unary("x * Phi(x); approximate: by tanh", approximate=False),
    "Softmax": Op("exp(beta * x) / sum, along axis", "x", shapes.same, {"axis": -1, "beta": 1.0},
                  UNIT_RANGE, kind="axis"),
    "LogSoftmax": Op("log of softmax along axis", "x", shapes.same, {"axis": -1}, LOG_RANGE,
                     kind="axis"),
    # -- elementwise, one input --------------------------------------------------------------------
    "Exp": _unary("e to the x"),
    "Log": _unary("natural logarithm"),
    "Sqrt": _unary("square root"),
    "Rsqrt": _unary("1 / square root"),
    "Abs": _unary("absolute value"),
    "Neg": _unary("-x", FLOAT),  # TFLite negates the integers, whatever their zero points
    "Square": _unary("x * x", FLOAT),
    "Sin": _unary("sine", FLOAT),
    "Cos": _unary("cosine", FLOAT),
    "Erf": _unary("Gauss error function", FLOAT),
    "Floor": _unary("largest whole number not above x", FLOAT),
    "Ceil": _unary("smallest whole number not below x", FLOAT),
    "Round": _unary("nearest whole number, ties to even", FLOAT),
    "Sign": _unary("-1, 0 or 1", FLOAT),
    "LogicalNot": _unary("not x", INTEGER),
    "Cast": Op("x as another dtype", "x", shapes.cast, {"to": REQUIRED}, FLOAT, kind="elementwise"),
    "Bitcast": Op("the same bits as another dtype of that size", "x", shapes.cast,
                  {"to": REQUIRED}, FLOAT, kind="elementwise"),
    # -- elementwise, several inputs ---------------------------------------------------------------
    "Add": _binary("a + b", activation="none"),
    "Sub": _binary("a - b", activation="none"),
    "Mul": _binary("a * b", activation="none"),
    "Div": _binary("a / b; whole numbers: toward zero", FLOAT, activation="none"),
    "Maximum": _binary("larger of a and b", SAME),
    "Minimum": _binary("smaller of a and b", SAME),
    "Pow": _binary("a to the b", FLOAT),
    "FloorDiv": _binary("floor(a / b)", FLOAT),
    "FloorMod": _binary("a - b * floor(a / b)", FLOAT),
    "Atan2": _binary("angle of the point (b, a)", FLOAT),
    "SquaredDifference": _binary("(a - b) squared"),
    "LogicalAnd": _binary("a and b", INTEGER),
    "LogicalOr": _binary("a or b", INTEGER),
    "BitwiseXor": _binary("bits of a exclusive-or b", INTEGER),
    "RightShift": _binary("a shifted right by b bits", INTEGER),
    "Equal": _compare("a == b"),
    "NotEqual": _compare("a != b"),
    "Less": _compare("a < b"),
    "LessEqual": _compare("a <= b"),
    "Greater": _compare("a > b"),
    "GreaterEqual": _compare("a >= b"),
    "Where": Op("a where the condition holds, else b", "cond a b", shapes.where, quant=SAME,
                kind="elementwise"),
    # -- reductions --------------------------------------------------------------------------------
    "ReduceSum": _reduce("sum over axes"),
    "ReduceMean": _reduce("mean over axes"),
    "ReduceMax": _reduce("maximum over axes", SAME),
    "ReduceMin": _reduce("minimum over axes", SAME),
    "ReduceProd": _reduce("product over axes", FLOAT),
    "ReduceAny": _reduce("whether any is true, over axes", INTEGER),
    "ReduceAll": _reduce("whether all are true, over axes", INTEGER),
    "ArgMax": Op("index of the first maximum", "x", shapes.arg_reduction,
                 {"axis": REQUIRED, "to": "int64"}, INTEGER),
    "ArgMin": Op("index of the first minimum", "x", shapes.arg_reduction,
                 {"axis": REQUIRED, "to": "int64"}, INTEGER),
    "CumSum": Op("running sum along axis", "x", shapes.same,
                 {"axis": REQUIRED, "exclusive": False, "reverse": False}, FLOAT, kind="axis"),
    "TopK": Op("k largest along the last axis: values, int32 indices", "x", shapes.top_k,
               {"k": REQUIRED}, SAME, kind="last"),
    # -- shape -------------------------------------------------------------------------------------
    "Reshape": Op("same elements, other shape", "x", shapes.reshape, {"shape": REQUIRED}, SAME),
    "Transpose": Op("dimensions in another order", "x", shapes.transpose, {"perm": REQUIRED}, SAME),
    "Concat": Op("inputs after one another along axis", "x*", shapes.concat, {"axis": REQUIRED},
                 SAME, kind="axis"),
    "Split": Op("parts of the given sizes along axis", "x", shapes.split,
                {"axis": REQUIRED, "sizes": REQUIRED}, SAME, kind="axis"),
    "Slice": Op("size elements from begin on, stride apart", "x", shapes.slice_,
                {"begin": REQUIRED, "size": REQUIRED, "stride": REQUIRED}, SAME,
                each={"begin": 0, "size": 1, "stride": 1}),
    "Pad": Op("constant, reflect, symmetric or edge padding", "x", shapes.pad,
              {"pads": REQUIRED, "mode": "constant", "value": 0.0}, SAME,
              each={"pads": (0, 0)}),
    "Tile": Op("repeat along each dimension", "x", shapes.tile, {"multiples": REQUIRED}, SAME,
               each={"multiples": 1}),
    "BroadcastTo": Op("repeat dimensions of 1", "x", shapes.broadcast_to, {"shape": REQUIRED},
                      SAME, each={"shape": 1}),
    "Gather": Op("slices at indices along axis", "x indices", shapes.gather,
                 {"axis": 0, "batch_dims": 0}, SAME),
    "GatherNd": Op("slices at index tuples", "x indices", shapes.gather_nd, quant=SAME),
    "ScatterNd": Op("updates at index tuples in zeros", "indices updates", shapes.scatter_nd,
                    {"shape": REQUIRED}, FLOAT),
    "OneHot": Op("on at the index, off elsewhere", "indices", shapes.one_hot,
                 {"depth": REQUIRED, "axis": -1, "on": 1.0, "off": 0.0, "to": "float32"}, FLOAT),
    "Reverse": Op("last to first along axes", "x", shapes.same, {"axes": REQUIRED}, SAME),
    "DynamicUpdateSlice": Op("x with the update written at a start that is moved inside",
                             "x update start", shapes.dynamic_update_slice, quant=SAME),
    # -- normalization -----------------------------------------------------------------------------
    "BatchNorm": Op("(x - mean) * gamma / sqrt(var + eps) + beta along axis",
                    "x gamma beta mean var", shapes.same, {"eps": 1e-3, "axis": -1}, FLOAT,
                    kind="axis"),
    "LayerNorm": Op("normalized over the dimensions from axis on, times gamma, plus beta",
                    "x gamma? beta?", shapes.same, {"axis": -1, "eps": 1e-5}, FLOAT, kind="last"),
    "RmsNorm": Op("x / sqrt(mean(x^2) + eps) over the dimensions from axis on, times gamma",
                  "x gamma?", shapes.same, {"axis": -1, "eps": 1e-5}, FLOAT, kind="last"),
    "L2Norm": Op("x / its length along the last axis", "x", shapes.same, {},
                 UNIT_LENGTH, kind="last"),
    "Lrn": Op("local response normalization across channels", "x", shapes.same,
              _spatial(radius=REQUIRED, bias=1.0, alpha=1.0, beta=0.5), FLOAT),
    # -- recurrent ---------------------------------------------------------------------------------
    "Lstm": Op("LSTM over the steps of a sequence, from the states h and c on",
               "x w_i? w_f w_c w_o r_i? r_f r_c r_o p_i? p_f? p_o? b_i? b_f b_c b_o proj? proj_b? "
               "h c n_i? n_f? n_c? n_o?", shapes.lstm,
               {"activation": "tanh", "cell_clip": 0.0, "proj_clip": 0.0, "time_major": False,
                "intermediates": ()}, OBSERVED, macs.lstm),
    "Svdf": Op("dense layer over the latest steps of a stream, its matrix split into features and "
               "time", "x w_feature w_time b? state", shapes.svdf,
               {"rank": 1, "activation": "none"}, FLOAT, macs.svdf),
    # -- quantization ------------------------------------------------------------------------------
    "Quantize": Op("real or integer to integer, by the output's parameters", "x", shapes.cast,
                   {"to": REQUIRED}, kind="elementwise"),
    "Dequantize": Op("integer to real, by the input's parameters", "x", shapes.cast,
                     {"to": "float32"}, FLOAT, kind="elementwise"),
}  # fmt: skip


_PLAIN: Final = frozenset({bool, int, float, str})


REDUCTIONS: Final = tuple(op for op, entry in OPS.items() if entry.kind == "reduction")


def row(op: str) -> Op:
    """The table's row for `op`; raises InternalError when there is none."""
    if op not in OPS:
        raise InternalError(f"{op} is not in the op table")
    return OPS[op]


def complete_attrs(op: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """`attrs` with the defaults filled in, lists made tuples; rejects unknown and missing ones."""
    declared = row(op).attrs
    unknown = set(attrs) - set(declared)
    if unknown:
        raise InternalError(f"{op} has no attribute {', '.join(sorted(unknown))}")
    full = {**declared, **{key: frozen(value) for key, value in attrs.items()}}
    missing = [key for key, value in full.items() if value is REQUIRED]
    if missing:
        raise InternalError(f"{op} needs the attribute {', '.join(missing)}")
    return full


def frozen(value: Any) -> Any:
    """Plain Python numbers and tuples out of lists, tuples, arrays and numpy scalars."""
    if type(value) in _PLAIN:  # nearly all, and the checker asks often
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(frozen(v) for v in value)
    return str(value) if isinstance(value, DType) else value


def infer(op: str, inputs: Inputs, attrs: Mapping[str, Any]) -> list[Spec]:
    """(shape, dtype) of each output; raises BadModel when inputs and attributes disagree."""
    entry = row(op)
    count = len(inputs)
    if count < entry.min_inputs or (entry.max_inputs is not None and count > entry.max_inputs):
        raise BadModel(f"{op} takes the inputs '{entry.inputs}', got {count}")
    try:
        return entry.shape(inputs, attrs)
    except (ValueError, TypeError, IndexError) as problem:
        names = ", ".join(f"{v.name}{list(v.shape)}" for v in inputs if v is not None)
        raise BadModel(f"{op}: {problem}", at=f"inputs {names}") from problem


def node_macs(node: Node) -> int:
    """Multiply-accumulates of one run of `node`."""
    return row(node.op).macs(node)
