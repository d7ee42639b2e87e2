"""The table of ATen operators that the PyTorch reader knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgepack.ir import Value
from edgepack.registry import Registry

if TYPE_CHECKING:
    from edgepack.readers.torch.call import Call

Result = Value | Sequence[Value]
Read = Callable[["Call"], Result]

READS: Registry[Read] = Registry("readers")

reads = READS  # `aten.add` for every overload, or `aten.pow.Scalar` for one of them


def find(target: str) -> Read | None:
    """The reader of `aten.pow.Scalar`: its own, or that of all `aten.pow`; None without either."""
    return READS.get(target) or READS.get(target.rpartition(".")[0])
