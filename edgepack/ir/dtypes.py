"""Element types of IR values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DType(StrEnum):
    """An element type; the member's value is the name used in reports and in the text form."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
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
        """The numpy type that holds it: int4 lives unpacked in int8 arrays, one value each."""
        return np.dtype("int8" if self is DType.INT4 else self.value)

    @property
    def is_float(self) -> bool:
        """Whether values are real numbers."""
        return self.value.startswith("float")

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
        return DType(array.dtype.name)
