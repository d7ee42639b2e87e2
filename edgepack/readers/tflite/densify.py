"""The row of LiteRT's operator that fills up constants stored without their zeros."""

from __future__ import annotations

from edgepack.ir import Value
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import sparse


@reads("DENSIFY")
def densify(op: OpView) -> Value:
    """The constant, which is whole already; no node is made.

    It keeps a sparse form where that takes less, so that a file written of it is no larger.
    """
    value = op.const(op.array(0))
    value.packed = sparse.smaller(value)
    return value
