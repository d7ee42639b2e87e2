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
class _Form:
    """The TFLite operator of an IR operator, and how many constant inputs its attributes become."""

    kind: str
    operands: int = 0


_FORMS: Final = {
    "Conv2d": _Form("CONV_2D"),
    "DepthwiseConv2d": _Form("DEPTHWISE_CONV_2D"),
    "ConvTranspose2d": _Form("TRANSPOSE_CONV", 1),
    "FullyConnected": _Form("FULLY_CONNECTED"),
    "MatMul": _Form("BATCH_MATMUL"),
    "MaxPool2d": _Form("MAX_POOL_2D"),
    "AveragePool2d": _Form("AVERAGE_POOL_2D"),
    "ResizeNearest": _Form("RESIZE_NEAREST_NEIGHBOR", 1),
    "ResizeBilinear": _Form("RESIZE_BILINEAR", 1),
    "DepthToSpace": _Form("DEPTH_TO_SPACE"),
    "SpaceToDepth": _Form("SPACE_TO_DEPTH"),
    "SpaceToBatch": _Form("SPACE_TO_BATCH_ND", 2),
    "BatchToSpace": _Form("BATCH_TO_SPACE_ND", 2),
    "Relu": _Form("RELU"),
    "Relu6": _Form("RELU6"),
    "ReluN1To1": _Form("RELU_N1_TO_1"),
    "LeakyRelu": _Form("LEAKY_RELU"),
    "PRelu": _Form("PRELU"),
    "Elu": _Form("ELU"),
    "Sigmoid": _Form("LOGISTIC"),
    "Tanh": _Form("TANH"),
    "HardSwish": _Form("HARD_SWISH"),
    "Gelu": _Form("GELU"),
    "Softmax": _Form("SOFTMAX"),
    "LogSoftmax": _Form("LOG_SOFTMAX"),
    "Exp": _Form("EXP"),
    "Log": _Form("LOG"),
    "Sqrt": _Form("SQRT"),
    "Rsqrt": _Form("RSQRT"),
    "Abs": _Form("ABS"),
    "Neg": _Form("NEG"),
    "Square": _Form("SQUARE"),
    "Sin": _Form("SIN"),
    "Cos": _Form("COS"),
    "Floor": _Form("FLOOR"),
    "Ceil": _Form("CEIL"),
    "Round": _Form("ROUND"),
    "Sign": _Form("SIGN"),
    "LogicalNot": _Form("LOGICAL_NOT"),
    "Cast": _Form("CAST"),
    "Add": _Form("ADD"),
    "Sub": _Form("SUB"),
    "Mul": _Form("MUL"),
    "Div": _Form("DIV"),
    "Maximum": _Form("MAXIMUM"),
    "Minimum": _Form("MINIMUM"),
    "Pow": _Form("POW"),
    "FloorDiv": _Form("FLOOR_DIV"),
    "FloorMod": _Form("FLOOR_MOD"),
    "SquaredDifference": _Form("SQUARED_DIFFERENCE"),
    "LogicalAnd": _Form("LOGICAL_AND"),
    "LogicalOr": _Form("LOGICAL_OR"),
    "BitwiseXor": _Form("BITWISE_XOR"),
    "RightShift": _Form("RIGHT_SHIFT"),
    "Equal": _Form("EQUAL"),
    "NotEqual": _Form("NOT_EQUAL"),
    "Less": _Form("LESS"),
    "LessEqual": _Form("LESS_EQUAL"),
    "Greater": _Form("GREATER"),
    "GreaterEqual": _Form("GREATER_EQUAL"),
    "Where": _Form("SELECT_V2"),
    "ReduceSum": _Form("SUM", 1),
    "ReduceMean": _Form("MEAN", 1),
    "ReduceMax": _Form("REDUCE_MAX", 1),
    "ReduceMin": _Form("REDUCE_MIN", 1),
    "ReduceProd": _Form("REDUCE_PROD", 1),
    "ReduceAny": _Form("REDUCE_ANY", 1),
    "ReduceAll": _Form("REDUCE_ALL", 1),
    "ArgMax": _Form("ARG_MAX", 1),
    "ArgMin": _Form("ARG_MIN", 1),
    "CumSum": _Form("CUMSUM", 1),
    "TopK": _Form("TOPK_V2", 1),
    "Reshape": _Form("RESHAPE", 1),
    "Transpose": _Form("TRANSPOSE", 1),
    "Concat": _Form("CONCATENATION"),
    "Split": _Form("SPLIT_V", 2),
    "Slice": _Form("STRIDED_SLICE", 3),
    "Pad": _Form("PAD", 1),
    "Tile": _Form("TILE", 1),
    "BroadcastTo": _Form("BROADCAST_TO", 1),
    "Gather": _Form("GATHER"),
    "GatherNd": _Form("GATHER_ND"),
    "ScatterNd": _Form("SCATTER_ND", 1),
    "OneHot": _Form("ONE_HOT", 3),
    "Reverse": _Form("REVERSE_V2", 1),
    "L2Norm": _Form("L2_NORMALIZATION"),
    "Lrn": _Form("LOCAL_RESPONSE_NORMALIZATION"),
    "Quantize": _Form("QUANTIZE"),
    "Dequantize": _Form("DEQUANTIZE"),
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

    def operand(self, name: str, shape: tuple[int, ...]) -> int:
        return self._append(MicroTensor(name, shape, DType.INT32, constant=True))

    def _append(self, tensor: MicroTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _op(node: Node, table: _Table) -> MicroOp:
    form = _FORMS.get(node.op, _Form(node.op))
    inputs = [table.index(v) for v in node.inputs]
    operands = [
        table.operand(f"{node.name}/{i}", _operand_shape(node)) for i in range(form.operands)
    ]
    if form.kind == "TRANSPOSE_CONV":  # output shape, weights, data, bias
        inputs = [*operands, inputs[1], inputs[0], *inputs[2:]]
    else:
        inputs += operands
    outputs = tuple(table.index(v) for v in node.outputs)
    return MicroOp(node.name, form.kind, tuple(inputs), outputs, _options(node))


def _operand_shape(node: Node) -> tuple[int, ...]:
    axes = node.attrs.get("axes")
    return (len(axes),) if axes is not None else (max(node.output.rank, 1),)


def _options(node: Node) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for name in ("stride", "dilation"):
        if name in node.attrs:
            found[f"{name}_h"], found[f"{name}_w"] = node.attrs[name]
    if node.op in ("Conv2d", "DepthwiseConv2d"):
        (found["pad_h"], _), (found["pad_w"], _) = node.attrs["pad"]
    if node.op == "MatMul":
        found["adj_x"], found["adj_y"] = node.attrs["adj_a"], node.attrs["adj_b"]
    return found
