"""Kernel variants: which sources lie over which, and how weights are laid out for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgepack.ir import Array
from edgepack.registry import Registry

Layout = Callable[[Array], Array]

# Folders of kernels/, each over those before it.
VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "portable": (),
    "dsp": ("dsp",),
    "mve": ("dsp", "mve"),
}
# By "kernel folder": int8 rows [out, depth] as the kernel of that folder reads them.
lays_out: Final[Registry[Layout]] = Registry("layouts of weights")


def laid_out(kernel: str, variant: str, rows: Array) -> Array:
    """The weights of `kernel` as its source in this variant wants them; as they are by default."""
    for folder in reversed(VARIANTS[variant]):
        layout = lays_out.get(f"{kernel} {folder}")
        if layout is not None:
            return layout(rows)
    return rows
