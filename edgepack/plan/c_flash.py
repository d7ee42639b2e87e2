"""The flash of a C project as it will be linked: weights and parameters to the byte, code by table.

Code is what `edgepack.plan.c_sizes` has of each kernel that is reached, and an estimate of the
function that calls them, linear in STATEMENTS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from edgepack.plan.c_contents import CContents
from edgepack.plan.c_sizes import CodeSizes
from edgepack.plan.flash import FlashUse

# Counts by which the bytes of the calling function go: calls of kernels; pointers into the arena,
# and those not among the last few different ones; numbers as arguments; loops around calls and
# steps in their pointers; tables as arguments; inputs and outputs of the model.
STATEMENTS: Final = (
    "calls", "places", "far", "numbers", "loops", "steps", "tables", "inputs", "outputs",
)  # fmt: skip
_WORD: Final = 4


def c_flash(contents: CContents, measured: Sequence[CodeSizes]) -> FlashUse:
    """Flash of a project by the first compiler's sizes, and the total by each.

    `graph_bytes` are the parameters of nodes and the function that calls the kernels. Without any
    sizes of these kernels, code is not counted.
    """
    uses = [_use(contents, sizes) for sizes in measured if sizes.knows(contents.calls)]
    if not uses:
        return FlashUse(_laid_out(contents.tables), _parameters(contents))
    totals = {use.compiler: use.total_bytes for use in uses if use.compiler}
    return replace(uses[0], by_compiler=totals)


def _use(contents: CContents, sizes: CodeSizes) -> FlashUse:
    around = _parameters(contents) + _calling(contents, sizes)
    name = f"{sizes.compiler} {sizes.version}"
    return FlashUse(_laid_out(contents.tables), around, _kernels(contents, sizes), name)


def _parameters(contents: CContents) -> int:
    return sum(contents.structs) + contents.initial_bytes


def _calling(contents: CContents, sizes: CodeSizes) -> int:
    by = sizes.statements
    counted = sum(by.get(name, 0.0) * contents.statements.get(name, 0) for name in STATEMENTS)
    return _rounded(round(by["fixed"] + counted), _WORD)


def _kernels(contents: CContents, sizes: CodeSizes) -> int:
    """Kernels in the order of their source, then what belongs to them."""
    reached = sizes.reached(contents.calls)
    ordered = [name for name in contents.functions if name in reached]
    ordered += [name for name in sizes.sections if name in reached.difference(ordered)]
    code = _laid_out((sizes.sections[n].bytes, sizes.sections[n].align) for n in ordered)
    brought: dict[str, int] = {}
    for name in sorted(reached):
        brought.update(sizes.libraries.get(name, {}))
    return _rounded(code, _WORD) + sum(_rounded(size, _WORD) for size in brought.values())


def _laid_out(parts: Iterable[tuple[int, int]]) -> int:
    """Bytes of (size, alignment) one after another."""
    end = 0
    for size, align in parts:
        end = _rounded(end, align) + size
    return end


def _rounded(size: int, align: int) -> int:
    return -(-size // align) * align
