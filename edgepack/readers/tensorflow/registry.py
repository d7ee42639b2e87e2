"""The table of TensorFlow graph operators that the reader knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from edgepack.errors import InternalError

# Takes a Call; returns an item (see `call`), or a sequence of them for several outputs.
Read = Callable[[Any], Any]
Function = TypeVar("Function", bound=Read)

READS: dict[str, Read] = {}


def reads(*ops: str) -> Callable[[Function], Function]:
    """Decorator: this function reads these operators, which depend on their inputs alone."""

    def register(function: Function) -> Function:
        for op in ops:
            if op in READS:
                raise InternalError(f"{op} has two readers")
            READS[op] = function
        return function

    return register
