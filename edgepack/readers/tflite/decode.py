"""The row of TensorFlow Lite Micro's operator that unpacks constants."""

from __future__ import annotations

from edgepack.errors import BadModel
from edgepack.ir import Packed, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import decode


@reads(f"CUSTOM {decode.OPERATOR}")
def unpack(op: OpView) -> list[Value]:
    """Constants that keep the form they have in the file; no node is made."""
    if op.input_count != 2 * len(op.outputs):
        raise BadModel(f"it has {op.input_count} inputs for {len(op.outputs)} outputs")
    found = []
    for index, tensor in enumerate(op.outputs):
        if tensor.dtype is None:
            raise Refused(f"it makes {tensor.type_name.lower()}")
        encoded, ancillary = (op.array(2 * index + part) for part in (0, 1))
        like = Value(tensor.name, tensor.shape, tensor.dtype, tensor.quant)
        try:
            data = decode.unpack(encoded, ancillary, like)
        except ValueError as problem:
            raise BadModel(str(problem)) from problem
        value = op.const(data)
        value.packed = Packed(encoded, ancillary)
        found.append(value)
    return found
