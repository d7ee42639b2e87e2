"""Element types that LiteRT's kernels compute in, and casts around the nodes that want others.

Found by running every builtin with every type (ai-edge-litert 2.x on x86-64). float16 is left out
on purpose: some delegates take it, the kernels themselves do not. Types of quantized nodes are the
quantizer's affair, not this table's.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.match import supersede, take_over, unquantized
from edgepack.passes.rules import Maker

F32, F64, I64, I32, I16, I8, U8, BOOL = (
    DType.FLOAT32, DType.FLOAT64, DType.INT64, DType.INT32, DType.INT16, DType.INT8, DType.UINT8,
    DType.BOOL,
)  # fmt: skip
U16, U32, U64, F16 = DType.UINT16, DType.UINT32, DType.UINT64, DType.FLOAT16

_REAL: Final = frozenset({F32})
_ANY: Final = frozenset(DType)
_COMMON: Final = frozenset({F32, I64, I32, I16, I8, U8, BOOL})
_COMPARED: Final = frozenset({F32, I64, I32, I16})
_BITS: Final = frozenset({I32, I16, I8, U32, U16, U8})

TAKES: Final[dict[str, frozenset[DType]]] = {
    **dict.fromkeys(
        [
            "Relu", "Relu6", "ReluN1To1", "Relu0To1", "Sigmoid", "Tanh", "HardSwish", "Gelu", "Elu",
            "Exp", "Log", "Sqrt", "Rsqrt", "Square", "Sin", "Cos", "Floor", "Ceil", "Round",
            "LeakyRelu", "PRelu", "Softmax", "LogSoftmax", "MatMul", "FullyConnected", "L2Norm",
            "Lrn", "Conv2d", "DepthwiseConv2d", "ConvTranspose2d", "Conv3d", "ConvTranspose3d",
            "AveragePool2d", "ResizeBilinear", "Erf", "LayerNorm", "RmsNorm", "BatchNorm", "Atan2",
        ],
        _REAL,
    ),
    "Abs": frozenset({F32, I32, I16}),
    "Neg": frozenset({F32, I64, I32, I16, I8}),
    "Sign": frozenset({F32, F64, I32}),
    "Add": _COMPARED,
    "Sub": frozenset({F32, I64, I32}),
    "Mul": frozenset({F32, I64, I32, I16, U32}),
    "Div": frozenset({F32, I32}),
    "Maximum": frozenset({F32, I64, I32, I16, I8, U8}),
    "Minimum": frozenset({F32, I64, I32, I16, I8, U8}),
    "Pow": frozenset({F32, I32}),
    "FloorDiv": frozenset({F32, I32, I16, I8}),
    "FloorMod": frozenset({F32, I64, I32, I16, I8}),
    "SquaredDifference": frozenset({F32, I32}),
    "LogicalAnd": frozenset({BOOL}),
    "LogicalOr": frozenset({BOOL}),
    "LogicalNot": frozenset({BOOL}),
    "BitwiseXor": _BITS,
    "RightShift": _BITS,
    "Equal": _COMPARED | {BOOL},
    "NotEqual": frozenset({F32, I64, I32, BOOL}),
    **dict.fromkeys(["Less", "LessEqual", "Greater", "GreaterEqual"], _COMPARED),
    "ReduceSum": frozenset({F32, I64, I32}),
    "ReduceMean": frozenset({F32, I64, I32}),
    "ReduceMax": frozenset({F32, I64, I32, I16, I8, U8}),
    "ReduceMin": frozenset({F32, I64, I32, I16, I8, U8}),
    "ReduceProd": frozenset({F32, I64, I32, I16, I8, U8}),
    "ReduceAny": frozenset({BOOL}),
    "ReduceAll": frozenset({BOOL}),
    "ArgMax": frozenset({F32, I32, I8, U8, BOOL}),
    "ArgMin": frozenset({F32, I32, I8, U8, BOOL}),
    "CumSum": frozenset({F32, I64, I32}),
    "TopK": frozenset({F32, I64, I32, I16, I8, U8}),
    "Concat": _COMMON | {U32},
    "Split": _COMMON - {BOOL},
    "Pad": _COMMON,
    "Gather": _COMMON,
    "GatherNd": _COMMON,
    "ScatterNd": _COMMON - {I16},
    "OneHot": _COMMON - {I16},  # of the output
    "Reverse": _COMMON,
    "MaxPool2d": frozenset({F32, I16, I8, U8}),
    "ResizeNearest": frozenset({F32, I32, I16, I8, U8, BOOL}),
    "DepthToSpace": frozenset({F32, I64, I32, I8, U8}),
    "SpaceToDepth": frozenset({F32, I64, I32, I8, U8}),
    "DynamicUpdateSlice": frozenset({F32, I64, I32, I8, U8, BOOL}),
}  # fmt: skip

# What to compute in instead, best first: the first that the operator takes.
_WIDER: Final[dict[DType, tuple[DType, ...]]] = {
    F16: (F32,),
    F64: (F32,),
    BOOL: (I32, I8, F32),
    I8: (I32, F32),
    U8: (I32, F32),
    I16: (I32, F32),
    U16: (I32, F32),
    I32: (I64, F32),
    U32: (I64, I32, F32),
    I64: (I32, F32),
    U64: (I64, I32, F32),  # by its bits: exact where the kernel wraps, and below 2 ** 63
}
# Operators whose results fit in 32 bits where their operands do.
_KEEPING_32_BITS: Final = frozenset({
    "Cast", "ArgMax", "ArgMin", "BitwiseXor", "RightShift", "Maximum", "Minimum", "Reshape",
    "Transpose", "Slice", "Concat", "Split", "Tile", "BroadcastTo", "Gather", "Reverse",
    "ReduceMax", "ReduceMin",
})  # fmt: skip
# Which inputs are of the type that a kernel is chosen by, where not all.
_TYPED: Final[dict[str, tuple[int, ...]]] = {
    "Gather": (0,), "GatherNd": (0,), "ScatterNd": (1,), "OneHot": (), "DynamicUpdateSlice": (0, 1),
    "Where": (1, 2),
}  # fmt: skip
_INDICES: Final[dict[str, tuple[int, frozenset[DType]]]] = {
    "Gather": (1, frozenset({I32, I64})),
    "GatherNd": (1, frozenset({I32, I64})),
    "ScatterNd": (0, frozenset({I32})),
    "OneHot": (0, frozenset({I32, I64})),
    "DynamicUpdateSlice": (2, frozenset({I32, I64})),
}


class Casts:
    """Puts casts around nodes; remembers the real numbers that it narrowed.

    A float16 or float64 result that another node then widens again is read before the narrowing:
    the detour would only lose precision and time.
    """

    def __init__(self) -> None:
        self._wide: dict[Value, Value] = {}  # by the narrow one

    def legalize(self, graph: Graph, node: Node) -> bool:
        """Give a node types that its kernel takes; return whether something changed."""
        if not unquantized(node):
            return False
        if node.op == "Cast":
            return _cast_in_steps(graph, node)
        if _index_type(graph, node):
            return True
        taken, dtype = TAKES.get(node.op, _ANY), _computed_in(node)
        if dtype in taken:
            return False
        wider = next((d for d in _WIDER.get(dtype, ()) if d in taken), None)
        if wider is None:
            return False
        self._recompute(graph, node, wider)
        return True

    def _recompute(self, graph: Graph, node: Node, dtype: DType) -> None:
        make = Maker(graph, node)
        typed = _typed_inputs(node)
        inputs = [
            self._cast(make, v, dtype) if v is not None and i in typed else v
            for i, v in enumerate(node.inputs)
        ]
        attrs = {**node.attrs, "to": str(dtype)} if node.op == "OneHot" else node.attrs
        results = graph.add_multi(node.op, inputs, attrs, name=node.name)
        for old, new in zip(node.outputs, results, strict=True):
            self._hand_over(graph, node, old, new)

    def _hand_over(self, graph: Graph, node: Node, old: Value, new: Value) -> None:
        if old.dtype is new.dtype:
            take_over(graph, old, new)
            return
        make = Maker(graph, node)
        signed = cast(make, new, I64) if old.dtype is U64 and new.dtype is not I64 else new
        op = "Bitcast" if old.dtype is U64 else "Cast"
        narrow = supersede(graph, old, op, [signed], {"to": str(old.dtype)})
        if old.dtype.is_float and new.dtype.is_float:
            self._wide[narrow] = new

    def _cast(self, make: Maker, value: Value, dtype: DType) -> Value:
        if value.dtype is dtype:
            return value
        if value.data is not None:
            data = value.data.astype(dtype.numpy)
            return make.graph.constant(data, value.name)
        known = self._wide.get(value)
        if known is not None and known.dtype is dtype:
            return known
        return cast(make, value, dtype)


def fits_32_bits(value: Value) -> bool:
    """Whether integers are known to be what they are when cast to int32 and back."""
    if value.data is not None:
        low, high = I32.limits
        data = value.data
        return not data.size or bool(low <= data.min() and data.max() <= high)
    if value.dtype in (BOOL, I8, U8, I16, U16, I32):
        return True
    node = value.producer
    if node is None or node.op not in _KEEPING_32_BITS:
        return False
    if value.dtype is U64 or node.input(0).dtype.is_float:  # a negative number may be a large one
        return False
    return node.op in ("ArgMax", "ArgMin") or all(map(fits_32_bits, node.present_inputs))


def cast(make: Maker, value: Value, dtype: DType) -> Value:
    """`value` as another type; CAST does not know uint64, BITCAST does."""
    if value.dtype is U64:
        value = signed(make, value)
    return value if value.dtype is dtype else make("Cast", value, attrs={"to": str(dtype)})


def signed(make: Maker, value: Value) -> Value:
    """The bits of a uint64 value as int64.

    Never by a BITCAST of a BITCAST: LiteRT lets those share one buffer, and writes over it while
    it is still read.
    """
    node = value.producer
    if node is not None and node.op == "Bitcast" and node.input(0).dtype is I64:
        return node.input(0)
    return make("Bitcast", value, attrs={"to": str(I64)})


def _typed_inputs(node: Node) -> tuple[int, ...]:
    return _TYPED.get(node.op, tuple(range(len(node.inputs))))


def _computed_in(node: Node) -> DType:
    typed = _typed_inputs(node)
    return node.input(typed[0]).dtype if typed and node.inputs else node.output.dtype


def _index_type(graph: Graph, node: Node) -> bool:
    """Indices of a type that the kernel takes; constant ones in 32 bits, as all runtimes do."""
    position, taken = _INDICES.get(node.op, (0, _ANY))
    if not node.inputs:
        return False
    indices = node.input(position)
    wide = node.op in _INDICES and indices.data is not None and indices.dtype is I64
    if indices.dtype in taken and not wide:
        return False
    if indices.data is not None:
        taken_indices = graph.constant(indices.data.astype(np.int32), indices.name)
    else:
        taken_indices = cast(Maker(graph, node), indices, I32)
    node.set_input(position, taken_indices)
    return True


def _cast_in_steps(graph: Graph, node: Node) -> bool:
    """Real to unsigned by way of a signed type: what a negative number becomes is then defined.

    uint64 goes by way of int64 in either direction.
    """
    x, source, target = node.input(0), node.input(0).dtype, node.output.dtype
    wide = U64 in (source, target)
    if not wide and not (source.is_float and target in (U8, U16, U32)):
        return False
    step = I64 if wide or target is U32 else I32
    signed = cast(Maker(graph, node), x, step)
    op = "Bitcast" if target is U64 else "Cast"
    supersede(graph, node.output, op, [signed], {"to": str(target)})
    return True
