"""Constants of TensorFlow Lite Micro that an operator of its own, TFLM_DECODE, unpacks.

The operator reads pairs of tensors and makes one constant of each: an encoded one, and an ancillary
one that begins with 16 bytes of metadata (kind, version 1, two of zero, the kind's own twelve) and
goes on with tables. Facts: kernels/decode.cc and kernels/decode_state*.{h,cc} in
tensorflow/lite/micro. Three kinds: tables of values (`decode_lut`), Huffman codes
(`decode_huffman`), a bit for each element that says whether it is zero (`decode_prune`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, Packed, Value
from edgepack.schema.decode_huffman import pack_huffman, unpack_huffman
from edgepack.schema.decode_lut import pack_lut, unpack_lut
from edgepack.schema.decode_prune import pack_prune, unpack_prune

OPERATOR: Final = "TFLM_DECODE"
CODINGS: Final = ("lut", "huffman", "prune")  # the index is the format's number of the kind

_HEADER_BYTES: Final = 16
_VERSION: Final = 1

Bytes = npt.NDArray[np.uint8]


def pack(value: Value, coding: str) -> Packed:
    """The constant `value` in one of `CODINGS`. Raises ValueError where that cannot hold it.

    The ancillary part begins with the metadata.
    """
    kinds = {"lut": pack_lut, "huffman": pack_huffman, "prune": pack_prune}
    encoded, own, tables = kinds[coding](value.const, value.dtype, value.quant)
    header = bytes([CODINGS.index(coding), _VERSION, 0, 0]) + own
    header = header.ljust(_HEADER_BYTES, b"\0")
    return Packed(encoded, np.frombuffer(header + tables, np.uint8))


def coding_of(ancillary: Bytes) -> int:
    """The number of the kind, an index of `CODINGS`; -1 where there are no metadata."""
    return int(ancillary[0]) if ancillary is not None and len(ancillary) >= _HEADER_BYTES else -1


def unpack(encoded: Bytes, ancillary: Bytes, like: Value) -> Array:
    """The array of a constant of the shape, type and parameters of `like`.

    Raises ValueError when the bytes contradict themselves or the shape.
    """
    if ancillary.size < _HEADER_BYTES or ancillary[1] != _VERSION or ancillary[4] != _VERSION:
        raise ValueError("its metadata are not of version 1")
    kind = int(ancillary[0])
    if kind >= len(CODINGS):
        raise ValueError(f"kind {kind} of decoding is not known")
    kinds = {"lut": unpack_lut, "huffman": unpack_huffman, "prune": unpack_prune}
    own, tables = ancillary[4:_HEADER_BYTES], ancillary[_HEADER_BYTES:]
    flat = kinds[CODINGS[kind]](encoded, own, tables, like)
    return flat.reshape(like.shape)
