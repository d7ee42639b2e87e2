"""How far results are from what they should be."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Array
from edgepack.validation.compare import Noise


def sqnr_db(reference: Sequence[Array], other: Sequence[Array]) -> float | None:
    """`Noise.sqnr_db` over all arrays."""
    found = Noise()
    for r, o in zip(reference, other, strict=True):
        found.add(r, o)
    return found.sqnr_db
