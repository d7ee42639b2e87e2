"""A graph as TensorFlow Lite Micro would see it once written: for models that have no file yet.

Each node counts as one TFLite operator. Where the TFLite form keeps an attribute as a constant
input (a shape, a permutation), that constant is counted too, since every tensor costs arena. The
plan of the written file is the exact one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgepack.ir import DType, Graph, Node, Value
from edgepack.plan.micro_model import MicroModel, MicroOp, MicroTensor, Option


@dataclass(frozen=True, slots=True)
class Form:
    """The TFLite operator of an IR operator, and how many constant inputs its attributes become."""

    kind: str
    operands: int = 0


FORMS: Final = {
    "Conv2d": Form("CONV_2D"),
    "DepthwiseConv2d": Form("DEPTHWISE_CONV_2D"),
    "ConvTranspose2d": Form("TRANSPOSE_CONV", 1),
    "Conv3d": Form("CONV_3D"),
    "ConvTranspose3d": Form("CONV_3D_TRANSPOSE", 1),
    "FullyConnected": Form("FULLY_CONNECTED"),
    "MatMul": Form("BATCH_MATMUL"),
    "MaxPool2d": Form("MAX_POOL_2D"),
    "AveragePool2d": Form("AVERAGE_POOL_2D"),
    "ResizeNearest": Form("RESIZE_NEAREST_NEIGHBOR", 1),
    "ResizeBilinear": Form("RESIZE_BILINEAR", 1),
    "DepthToSpace": Form("DEPTH_TO_SPACE"),
    "SpaceToDepth": Form("SPACE_TO_DEPTH"),
    "SpaceToBatch": Form("SPACE_TO_BATCH_ND", 2),
    "BatchToSpace": Form("BATCH_TO_SPACE_ND", 2),
    "Relu": Form("RELU"),
    "Relu6": Form("RELU6"),
    "ReluN1To1": Form("RELU_N1_TO_1"),
    "Relu0To1": Form("RELU_0_TO_1"),
    "LeakyRelu": Form("LEAKY_RELU"),
    "PRelu": Form("PRELU"),
    "Elu": Form("ELU"),
    "Sigmoid": Form("LOGISTIC"),
    "Tanh": Form("TANH"),
    "HardSwish": Form("HARD_SWISH"),
    "Gelu": Form("GELU"),
    "Softmax": Form("SOFTMAX"),
    "LogSoftmax": Form("LOG_SOFTMAX"),
    "Exp": Form("EXP"),
    "Log": Form("LOG"),
    "Sqrt": Form("SQRT"),
    "Rsqrt": Form("RSQRT"),
    "Abs": Form("ABS"),
    "Neg": Form("NEG"),
    "Square": Form("SQUARE"),
    "Sin": Form("SIN"),
    "Cos": Form("COS"),
    "Floor": Form("FLOOR"),
    "Ceil": Form("CEIL"),
    "Round": Form("ROUND"),
    "Sign": Form("SIGN"),
    "LogicalNot": Form("LOGICAL_NOT"),
    "Cast": Form("CAST"),
    "Add": Form("ADD"),
    "Sub": Form("SUB"),
    "Mul": Form("MUL"),
    "Div": Form("DIV"),
    "Maximum": Form("MAXIMUM"),
    "Minimum": Form("MINIMUM"),
    "Pow": Form("POW"),
    "Atan2": Form("ATAN2"),
    "FloorDiv": Form("FLOOR_DIV"),
    "FloorMod": Form("FLOOR_MOD"),
    "SquaredDifference": Form("SQUARED_DIFFERENCE"),
    "LogicalAnd": Form("LOGICAL_AND"),
    "LogicalOr": Form("LOGICAL_OR"),
    "BitwiseXor": Form("BITWISE_XOR"),
    "RightShift": Form("RIGHT_SHIFT"),
    "Equal": Form("EQUAL"),
    "NotEqual": Form("NOT_EQUAL"),
    "Less": Form("LESS"),
    "LessEqual": Form("LESS_EQUAL"),
    "Greater": Form("GREATER"),
    "GreaterEqual": Form("GREATER_EQUAL"),
    "Where": Form("SELECT_V2"),
    "ReduceSum": Form("SUM", 1),
    "ReduceMean": Form("MEAN", 1),
    "ReduceMax": Form("REDUCE_MAX", 1),
    "ReduceMin": Form("REDUCE_MIN", 1),
    "ReduceProd": Form("REDUCE_PROD", 1),
    "ReduceAny": Form("REDUCE_ANY", 1),
    "ReduceAll": Form("REDUCE_ALL", 1),
    "ArgMax": Form("ARG_MAX", 1),
    "ArgMin": Form("ARG_MIN", 1),
    "CumSum": Form("CUMSUM", 1),
    "TopK": Form("TOPK_V2", 1),
    "Reshape": Form("RESHAPE", 1),
    "Transpose": Form("TRANSPOSE", 1),
    "Concat": Form("CONCATENATION"),
    "Split": Form("SPLIT", 1),
    "Slice": Form("SLICE", 2),
    "DynamicUpdateSlice": Form("DYNAMIC_UPDATE_SLICE"),
    "Pad": Form("PAD", 1),
    "Tile": Form("TILE", 1),
    "BroadcastTo": Form("BROADCAST_TO", 1),
    "Gather": Form("GATHER"),
    "GatherNd": Form("GATHER_ND"),
    "ScatterNd": Form("SCATTER_ND", 1),
    "OneHot": Form("ONE_HOT", 3),
    "Reverse": Form("REVERSE_V2", 1),
    "L2Norm": Form("L2_NORMALIZATION"),
    "Lrn": Form("LOCAL_RESPONSE_NORMALIZATION"),
    "Quantize": Form("QUANTIZE"),
    "Dequantize": Form("DEQUANTIZE"),
}


def micro_model_from_graph(graph: Graph) -> MicroModel:
    """The model as it would be written, operator for operator.

    An operator that TFLite lacks keeps its own name and appears in the plan's `unmodelled`.
    """
    table = _Table()
    inputs = tuple(table.index(v) for v in graph.inputs)
    outputs = tuple(table.index(v) for v in graph.outputs)
    ops = tuple(_op(node, table) for node in graph.nodes)
    return MicroModel(tuple(table.tensors), ops, inputs, outputs)


class _Table:
    """The tensor table being filled, in the order the writer fills it."""

    def __init__(self) -> None:
        self.tensors: list[MicroTensor] = []
        self._index: dict[int, int] = {}

    def index(self, value: Value | None) -> int:
        if value is None:
            return -1
        if id(value) not in self._index:
            scales = value.quant.scale.size if value.quant else 0
            tensor = MicroTensor(
                value.name, value.shape, value.dtype, value.is_const, scales=scales
            )
            self._index[id(value)] = self._append(tensor)
        return self._index[id(value)]

    def operand(
        self, name: str, shape: tuple[int, ...], dtype: DType = DType.INT32, scales: int = 0
    ) -> int:
        return self._append(MicroTensor(name, shape, dtype, constant=True, scales=scales))

    def _append(self, tensor: MicroTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _form(node: Node) -> Form:
    """The usual form, unless attributes call for another operator."""
    attrs = node.attrs
    if node.op == "Split" and len(set(attrs["sizes"])) > 1:
        return Form("SPLIT_V", 2)
    if node.op == "Slice" and any(step != 1 for step in attrs["stride"]):
        return Form("STRIDED_SLICE", 3)
    if node.op == "Pad" and attrs["mode"] != "constant":
        return Form("MIRROR_PAD", 1)
    if node.op == "Pad" and attrs["value"]:
        return Form("PADV2", 2)
    return FORMS.get(node.op, Form(node.op))


def _op(node: Node, table: _Table) -> MicroOp:
    form = _form(node)
    inputs = [table.index(v) for v in node.inputs]
    operands = [
        table.operand(f"{node.name}/{i}", _operand_shape(node)) for i in range(form.operands)
    ]
    if form.kind == "TRANSPOSE_CONV":  # output shape, weights, data, bias
        inputs = [*operands, inputs[1], inputs[0], *inputs[2:]]
    else:
        inputs += operands
    if form.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and node.optional(2) is None:
        inputs = [*inputs[:2], _zero_bias(node, table)]
    outputs = tuple(table.index(v) for v in node.outputs)
    return MicroOp(node.name, form.kind, tuple(inputs), outputs, _options(node))


def _zero_bias(node: Node, table: _Table) -> int:
    """TFLite's convolutions must have a bias, so the writer gives them one of zeros."""
    x, weights = node.input(0), node.input(1)
    dtype, scales = x.dtype, 0
    if x.quant and weights.quant:
        dtype = DType.INT64 if x.dtype is DType.INT16 else DType.INT32
        scales = weights.quant.scale.size
    return table.operand(f"{node.name}/bias", node.output.shape[-1:], dtype, scales)


def _operand_shape(node: Node) -> tuple[int, ...]:
    axes = node.attrs.get("axes")
    return (len(axes),) if axes is not None else (max(node.output.rank, 1),)


def _options(node: Node) -> dict[str, Option]:
    found: dict[str, Option] = {}
    if node.op in ("Conv2d", "DepthwiseConv2d", "ConvTranspose2d"):
        for name in ("stride", "dilation"):
            found[f"{name}_h"], found[f"{name}_w"] = node.attrs[name]
        (found["pad_h"], _), (found["pad_w"], _) = node.attrs["pad"]
    if node.op == "MatMul":
        found["adj_x"], found["adj_y"] = node.attrs["adj_a"], node.attrs["adj_b"]
    return found
