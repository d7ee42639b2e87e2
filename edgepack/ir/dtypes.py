"""Element types of IR values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DType(StrEnum):
    """An element type; the member's value is the name used in reports and in the text form."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    INT4 = "int4"
    UINT64 = "uint64"
    UINT32 = "uint32"
    UINT16 = "uint16"
    UINT8 = "uint8"
    BOOL = "bool"

    @property
    def bits(self) -> int:
        """Bits that one element takes in a file."""
        return 4 if self is DType.INT4 else self.numpy.itemsize * 8

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy type that holds it.

        int4 lives unpacked in int8 arrays, one value each; bfloat16, the upper half of a float32,
        as its bits in uint16 arrays.
        """
        return np.dtype(_HELD_AS.get(self.value, self.value))

    @property
    def is_float(self) -> bool:
        """Whether values are real numbers."""
        return "float" in self.value

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers (quantized or not); bool is not."""
        return "int" in self.value

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type."""
        if self is DType.INT4:
            return -8, 7
        info = np.iinfo(self.numpy)
        return int(info.min), int(info.max)

    @staticmethod
    def of(array: Array) -> DType:
        """The type of a numpy array. Raises ValueError for strings, objects and the like."""
        if not DType.has(array):
            raise ValueError(f"no type of the IR holds {array.dtype.name} arrays")
        return DType(array.dtype.name)

    @staticmethod
    def has(array: Array) -> bool:
        """Whether there is a type whose elements lie in numpy arrays like this one."""
        return array.dtype.name in {str(DType(name)) for name in DType if name not in _HELD_AS}


_HELD_AS: Final = {"int4": "int8", "bfloat16": "uint16"}


def bfloat16_bits(real: Array) -> Array:
    """The nearest bfloat16 numbers (ties to even) of finite float32 ones, as uint16; any shape.

    What would become infinite gets the largest there is.
    """
    bits = np.ascontiguousarray(real, np.float32).view(np.uint32).reshape(real.shape)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    infinite = (rounded & 0x7FFF) == _INFINITE
    return np.where(infinite, rounded - 1, rounded).astype(np.uint16)


def bfloat16_real(bits: Array) -> Array:
    """The float32 numbers of bfloat16 ones; any shape."""
    wide = np.ascontiguousarray(bits).astype(np.uint32) << 16
    return wide.view(np.float32).reshape(bits.shape)


_INFINITE: Final = 0x7F80
