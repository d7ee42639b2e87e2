"""What a `.tflite` file says, as plain validated records; constant data stays a view of the file.

flatbuffers does not verify offsets in Python, so a damaged file shows up here as an access outside
the buffer, an index out of range or a size that contradicts another: each becomes a BadModel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Array, DType, QuantParams
from edgepack.ir.dtypes import bfloat16_real
from edgepack.schema import sparse
from edgepack.schema import tflite as fmt

# What reading at a wrong offset raises: flatbuffers itself, numpy's views, str.decode.
_DAMAGE: Final = (
    struct.error, IndexError, ValueError, TypeError, KeyError, OverflowError, AttributeError,
    MemoryError,
)  # fmt: skip
_MAX_RANK: Final = 8
_MAX_ELEMENTS: Final = 2**40

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `dtype` is None for the types that the IR lacks, which `type_name` then names.

    `signature` is the shape with -1 where it is dynamic. `data` is the constant content.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: DType | None
    type_name: str
    quant: QuantParams | None
    data: Array | None
    is_variable: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; `builtin` is the schema's name, or "CUSTOM name". Absent inputs are -1."""

    index: int
    builtin: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options_table: str | None
    options: Any


@dataclass(frozen=True, slots=True)
class Model:
    """The first subgraph of a file, with the names its signature gives to inputs and outputs."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int


_AGAIN: Final = "convert or download the file again; it may be truncated"


def parse(data: bytes, path: str = "model") -> Model:
    """The records of a file's bytes. Raises BadModel when it is no TFLite file or a damaged one."""
    if len(data) < 16 or data[4:8] != fmt.IDENTIFIER:
        raise BadModel(f"{path} is not a TFLite file (it lacks the mark TFL3)")
    try:
        return _Parser(data).model()
    except BadModel as problem:
        message = f"{path} is damaged: {problem.message}"
        raise BadModel(message, at=problem.at, hint=_AGAIN) from problem
    except _DAMAGE as problem:
        message = f"{path} is damaged: an offset or size in it is wrong"
        raise BadModel(message, hint=_AGAIN) from problem


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.s = fmt.schema()
        self.root = self.s.Model.GetRootAs(data, 0)
        self.builtins = _names(self.s.BuiltinOperator)
        self.types = _names(self.s.TensorType)
        self.tables = _names(self.s.BuiltinOptions)
        self.tables2 = _names(self.s.BuiltinOptions2)

    def model(self) -> Model:
        count = self.root.SubgraphsLength()
        if not count:
            raise BadModel("it has no subgraph")
        subgraph = self.root.Subgraphs(0)
        codes = [self._code(c) for c in self._all(self.root.OperatorCodes, "OperatorCodes")]
        tensors = tuple(self._tensor(i, t) for i, t in enumerate(self._each(subgraph, "Tensors")))
        operators = tuple(
            self._operator(i, o, codes) for i, o in enumerate(self._each(subgraph, "Operators"))
        )
        name = subgraph.Name()
        model = Model(
            name.decode() if name else "model", tensors, operators,
            _ints(subgraph, "Inputs"), _ints(subgraph, "Outputs"), count,
        )  # fmt: skip
        _check_indices(model)
        return model

    def _all(self, get: Callable[[int], T], field: str) -> Iterator[T]:
        return (get(i) for i in range(self._length(self.root, field)))

    def _each(self, table: Any, field: str) -> Iterator[Any]:
        get = getattr(table, field)
        return (get(i) for i in range(self._length(table, field)))

    def _length(self, table: Any, field: str) -> int:
        length = int(getattr(table, field + "Length")())
        if length * 4 > len(self.data):
            raise BadModel(f"a list of {length} {field.lower()} is longer than the file")
        return length

    def _code(self, code: Any) -> str:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.builtins.get(number, f"BUILTIN {number}")
        if name != "CUSTOM":
            return name
        custom = code.CustomCode()
        return f"CUSTOM {custom.decode() if custom else 'without a name'}"

    # -- tensors -----------------------------------------------------------------------------------

    def _tensor(self, index: int, tensor: Any) -> Tensor:
        raw_name = tensor.Name()
        name = raw_name.decode(errors="replace") if raw_name else f"tensor_{index}"
        try:
            return self._tensor_named(index, tensor, name)
        except ValueError as problem:
            raise BadModel(str(problem), at=f"tensor {name}") from problem

    def _tensor_named(self, index: int, tensor: Any, name: str) -> Tensor:
        type_name = self.types.get(tensor.Type())
        if type_name is None:
            raise ValueError(f"type code {tensor.Type()} is unknown")
        dtype = DType[type_name] if type_name in DType.__members__ else None
        signature = _ints(tensor, "ShapeSignature")
        shape = _checked_shape(_ints(tensor, "Shape"), signature)
        raw = self._buffer(tensor.Buffer())
        sparsity = tensor.Sparsity()
        data = None
        if raw is not None and dtype is not None:
            data = (
                _array(raw, shape, dtype)
                if sparsity is None
                else _dense(self.s.SparsityParametersT.InitFromObj(sparsity), raw, shape, dtype)
            )
        if dtype is DType.BFLOAT16:  # only stored so: it is computed with in float32
            dtype, data = (None, None) if data is None else (DType.FLOAT32, bfloat16_real(data))
        quant, problem = self._blocks(tensor, shape), None
        if quant is None:
            quant, problem = _quantization(tensor, shape, dtype)
        return Tensor(
            index, name, shape, signature if len(signature) == len(shape) else shape, dtype,
            type_name, quant, data, tensor.IsVariable(), problem,
        )  # fmt: skip

    def _blocks(self, tensor: Any, shape: tuple[int, ...]) -> QuantParams | None:
        """Symmetric scales of blocks; None for any other quantization. ValueError when damaged."""
        record = tensor.Quantization()
        kind = self.s.QuantizationDetails.BlockwiseQuantization
        if record is None or record.DetailsType() != kind:
            return None
        details = self.s.BlockwiseQuantization()
        details.Init(record.Details().Bytes, record.Details().Pos)
        scales = self.root.Subgraphs(0).Tensors(details.Scales())
        raw = self._buffer(scales.Buffer())
        if details.ZeroPoints() > 0 or raw is None or self.types[scales.Type()] != "FLOAT16":
            return None
        block, count = details.BlockSize(), raw.size // 2
        if block < 1 or not shape or shape[-1] % block or np.prod(shape) != count * block:
            raise ValueError(f"{count} scales do not suit blocks of {block} in {list(shape)}")
        return QuantParams.per_block(raw.view(np.float16), block)

    def _buffer(self, index: int) -> Array | None:
        """The bytes of a buffer as a view of the file; None for an empty one."""
        if index >= self.root.BuffersLength():
            raise ValueError(f"buffer {index} does not exist")
        buffer = self.root.Buffers(index)
        start, size = buffer.Offset(), buffer.Size()
        if start > 1:  # data behind the flatbuffer, as in files above 2 GB
            if start + size > len(self.data):
                raise ValueError(f"buffer {index} reaches beyond the end of the file")
            return np.frombuffer(self.data, np.uint8, size, start)
        if not buffer.DataLength():
            return None
        view: Array = buffer.DataAsNumpy()
        return view

    # -- operators ---------------------------------------------------------------------------------

    def _operator(self, index: int, op: Any, codes: list[str]) -> Operator:
        if op.OpcodeIndex() >= len(codes):
            raise BadModel(f"operator {index} has the unknown code {op.OpcodeIndex()}")
        table, options = self._options(op)
        return Operator(
            index, codes[op.OpcodeIndex()], _ints(op, "Inputs"), _ints(op, "Outputs"),
            _ints(op, "Intermediates"), table, options,
        )  # fmt: skip

    def _options(self, op: Any) -> tuple[str | None, Any]:
        table, union = self.tables.get(op.BuiltinOptionsType()), op.BuiltinOptions()
        if union is None:
            table, union = self.tables2.get(op.BuiltinOptions2Type()), op.BuiltinOptions2()
        if union is None or table in (None, "NONE"):
            return None, None
        reader = getattr(self.s, str(table))()
        reader.Init(union.Bytes, union.Pos)
        return table, getattr(self.s, f"{table}T").InitFromObj(reader)


def _names(enum: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


def _ints(table: Any, field: str) -> tuple[int, ...]:
    if not getattr(table, field + "Length")():
        return ()
    return tuple(getattr(table, field + "AsNumpy")().tolist())


def _checked_shape(shape: tuple[int, ...], signature: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 where old files say -1. Raises ValueError for what no tensor can have."""
    if len(shape) > _MAX_RANK:
        raise ValueError(f"rank {len(shape)} is more than {_MAX_RANK}")
    if any(d < -1 for d in (*shape, *signature)):
        raise ValueError(f"shape {shape} has a negative dimension")
    fixed = tuple(1 if d == -1 else d for d in shape)
    if np.prod([float(d) for d in fixed]) > _MAX_ELEMENTS:
        raise ValueError(f"shape {shape} is impossibly large")
    return fixed


def _array(raw: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Constant bytes as an array. Raises ValueError when their number contradicts the shape."""
    count = int(np.prod(shape, dtype=np.int64))
    expected = (count * dtype.bits + 7) // 8
    if raw.size != expected:
        raise ValueError(f"{dtype}{list(shape)} takes {expected} bytes, its buffer has {raw.size}")
    if dtype is DType.INT4:
        nibbles = np.stack([raw & 0x0F, raw >> 4], axis=1).reshape(-1)[:count]
        return ((nibbles.astype(np.int8) ^ 8) - np.int8(8)).reshape(shape)
    return np.frombuffer(raw.data, dtype.numpy).reshape(shape)


def _dense(record: Any, raw: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """A constant that the file has without its zeros. Raises ValueError when it is damaged."""
    if dtype is DType.INT4:
        raise ValueError("int4 is stored sparse, which no runtime reads")
    return sparse.densified(record, np.frombuffer(raw.data, dtype.numpy), shape)


def _quantization(
    tensor: Any, shape: tuple[int, ...], dtype: DType | None
) -> tuple[QuantParams | None, str | None]:
    """The tensor's parameters, and why they cannot be taken (ValueError when they are broken)."""
    record = tensor.Quantization()
    if record is None or dtype is None or not dtype.is_integer:
        return None, None
    if record.DetailsType():
        return None, "the quantization is not affine"
    if not record.ScaleLength():
        return None, None
    return _affine(record, shape, dtype), None


def _affine(record: Any, shape: tuple[int, ...], dtype: DType) -> QuantParams:
    scale = np.array(record.ScaleAsNumpy(), np.float32)
    length = record.ZeroPointLength()
    zero = np.array(record.ZeroPointAsNumpy(), np.int64) if length else np.zeros(1, np.int64)
    if zero.size not in (1, scale.size):
        raise ValueError(f"{scale.size} scales but {zero.size} zero points")
    low, high = dtype.limits
    if (zero < low).any() or (zero > high).any():
        raise ValueError(f"a zero point lies outside {dtype}")
    zero = np.broadcast_to(zero, scale.shape).copy()
    if scale.size == 1:
        return QuantParams(scale, zero)
    # Old converters give a bias the channel dimension of its weights.
    axis = 0 if len(shape) == 1 else record.QuantizedDimension()
    if not 0 <= axis < len(shape) or shape[axis] != scale.size:
        raise ValueError(f"{scale.size} scales do not suit dimension {axis} of {list(shape)}")
    return QuantParams(scale, zero, axis)


def _check_indices(model: Model) -> None:
    count = len(model.tensors)
    for op in model.operators:
        if any(not -1 <= i < count for i in (*op.inputs, *op.intermediates)):
            raise BadModel(f"operator {op.index} ({op.builtin}) reads a tensor that is not there")
        if any(not 0 <= i < count for i in op.outputs):
            raise BadModel(f"operator {op.index} ({op.builtin}) writes a tensor that is not there")
    if any(not 0 <= i < count for i in (*model.inputs, *model.outputs)):
        raise BadModel("an input or output of the model is a tensor that is not there")
    if not model.outputs:
        raise BadModel("the model has no output")
