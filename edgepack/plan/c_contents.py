"""What a C project consists of, as far as its bytes in flash go; the writer finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CContents:
    """The parts of one project that take flash.

    `tables` are (bytes, alignment) of the constant arrays, in their order; `structs` the bytes of
    each node's parameters; `initial_bytes` those of memory that does not begin as zeros. `calls`
    are the kernels that the model calls, `functions` all that its kernels.c has, in their order;
    names begin with `ep_`. `statements` counts what the function that runs the model is made of
    (`edgepack.plan.c_flash.STATEMENTS`).
    """

    tables: tuple[tuple[int, int], ...]
    structs: tuple[int, ...]
    initial_bytes: int
    calls: tuple[str, ...]
    functions: tuple[str, ...]
    statements: Mapping[str, int]
