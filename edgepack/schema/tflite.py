"""The TFLite schema: element types, activations, option tables and the SAME/VALID padding rule.

The flatbuffer classes come from `ai_edge_litert`; nothing here needs TensorFlow.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Final

from edgepack.ir import DType
from edgepack.schema import decode

IDENTIFIER: Final = b"TFL3"

# Activations that can be fused, in the IR's name and the schema's.
ACTIVATIONS: Final = {
    "none": "NONE",
    "relu": "RELU",
    "relu_n1_to_1": "RELU_N1_TO_1",
    "relu6": "RELU6",
}


@cache
def schema() -> ModuleType:
    """The generated flatbuffer classes (imported at first use: it takes 0.2 s)."""
    from ai_edge_litert import schema_py_generated

    module: ModuleType = schema_py_generated
    return module


def only_micro(data: bytes) -> str | None:
    """Why TensorFlow Lite Micro alone takes a TFLite file of ours; None if others do."""
    if decode.OPERATOR.encode() in data:
        return "it does not unpack weights as TensorFlow Lite Micro does"
    s = schema()
    model = s.Model.GetRootAs(data, 0)
    codes = (model.OperatorCodes(i) for i in range(model.OperatorCodesLength()))
    lstm = s.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    if any(code.BuiltinCode() == lstm and code.Version() >= _LSTM_OF_16_BITS for code in codes):
        return "it has no LSTM with 16-bit activations"
    return None


_LSTM_OF_16_BITS: Final = 5  # the operator's version


@cache
def tensor_type(dtype: DType) -> int:
    """The schema's TensorType code of an element type."""
    return int(getattr(schema().TensorType, dtype.name))


@cache
def dtype_of(tensor_type_code: int) -> DType:
    """The element type of a TensorType code. Raises KeyError for strings and resources."""
    codes = {getattr(schema().TensorType, d.name): d for d in DType}
    return codes[tensor_type_code]


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) that SAME means for one dimension: ceil(size / stride) windows."""
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def padding_name(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    pad: tuple[tuple[int, int], ...],
) -> str | None:
    """What `pad` amounts to: "VALID", "SAME" or None; one entry per dimension.

    Under VALID a trailing pad must be absent, so explicit zero padding is VALID; SAME is compared
    with what the runtimes compute from the sizes.
    """
    if not any(map(any, pad)):
        return "VALID"
    same = tuple(same_padding(*dims) for dims in zip(sizes, kernel, stride, dilation, strict=True))
    return "SAME" if same == tuple(map(tuple, pad)) else None


def transposed_padding_name(
    in_sizes: tuple[int, ...],
    out_sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[tuple[int, int], ...],
) -> str | None:
    """What the `pad` of a transposed convolution amounts to: "VALID", "SAME" or None.

    VALID cuts nothing off the full result. SAME cuts what a convolution from the output back to the
    input would have padded; the output's sizes are stated, so what is cut in front decides.
    """
    if not any(map(any, pad)):
        return "VALID"
    if any(n != -(-m // s) for n, m, s in zip(in_sizes, out_sizes, stride, strict=True)):
        return None
    dims = zip(out_sizes, kernel, stride, strict=True)
    same = [same_padding(size, k, s, 1)[0] for size, k, s in dims]
    return "SAME" if same == [before for before, _ in pad] else None
