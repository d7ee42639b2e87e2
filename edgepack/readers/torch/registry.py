"""The table of ATen operators that the PyTorch reader knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from edgepack.errors import InternalError
from edgepack.ir import Value

if TYPE_CHECKING:
    from edgepack.readers.torch.call import Call

Result = Value | Sequence[Value]
Read = Callable[["Call"], Result]

Function = TypeVar("Function", bound=Read)

READS: dict[str, Read] = {}


def reads(*targets: str) -> Callable[[Function], Function]:
    """Decorator: this function reads these operators.

    A target is `aten.add` for every overload, or `aten.pow.Scalar` for one of them.
    """

    def register(function: Function) -> Function:
        for target in targets:
            if target in READS:
                raise InternalError(f"{target} has two readers")
            READS[target] = function
        return function

    return register


def find(target: str) -> Read | None:
    """The reader of `aten.pow.Scalar`: its own, or that of all `aten.pow`; None without either."""
    return READS.get(target) or READS.get(target.rpartition(".")[0])
