"""Zeros among weights, and what the others become to make good for them.

With calibration, as in SparseGPT (Frantar and Alistarh 2023, arXiv:2301.00774): columns are looked
at in turn, the weights that cost least by (w / U_jj)^2, with U the upper factor of the inverse of
the inputs' covariance, become zero, and the columns behind make good for it. Without, the smallest
weights become zero.

Patterns: "any" takes the least of each block of columns, "N:M" all but N of every M neighbours
along the input channels of each row, "block4" four neighbours at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgepack.quantize.gptq import Float, inverse_factor

_BLOCK: Final = 128  # columns among which zeros are chosen together
_Mask = npt.NDArray[np.bool_]
_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Pattern:
    """`kept` of every `out_of` neighbours stay (0 of 0: any); `block` of them share their fate."""

    kept: int = 0
    out_of: int = 0
    block: int = 1

    @property
    def width(self) -> int:
        """What a row's channels must divide into."""
        return self.out_of or self.block

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """From `any`, `block4` or `2:4`; None when it is none of these."""
        if text == "any":
            return cls()
        if text.startswith("block") and text[5:].isdigit() and int(text[5:]) > 1:
            return cls(block=int(text[5:]))
        kept, colon, out_of = text.partition(":")
        if not colon or not (kept.isdigit() and out_of.isdigit()):
            return None
        return cls(int(kept), int(out_of)) if 0 < int(kept) < int(out_of) else None


def zeros(scores: Float, ratio: float, pattern: Pattern) -> _Mask:
    """Which weights become zero by their scores [..., rows, n], the least first.

    `ratio` is the share of them where the pattern leaves it open.
    """
    flat = scores.reshape(-1, scores.shape[-1])
    if pattern.out_of:
        groups = flat.reshape(len(flat), -1, pattern.out_of)
        rank = np.argsort(np.argsort(groups, axis=-1, kind="stable"), axis=-1, kind="stable")
        mask: _Mask = (rank < pattern.out_of - pattern.kept).reshape(scores.shape)
        return mask
    blocks = flat.reshape(len(flat), -1, pattern.block).sum(axis=-1).reshape(-1)
    least = np.argsort(blocks, kind="stable")[: round(ratio * blocks.size)]
    chosen = np.zeros(blocks.size, np.bool_)
    chosen[least] = True
    wide: _Mask = np.repeat(chosen, pattern.block).reshape(scores.shape)
    return wide


def by_magnitude(w: Float, ratio: float, pattern: Pattern) -> Float:
    """Weights [groups, rows, n] without their smallest."""
    found: Float = np.where(zeros(np.abs(w), ratio, pattern), 0.0, w)
    return found


def by_reconstruction(w: Float, gram: Float, ratio: float, pattern: Pattern) -> Float:
    """Weights [groups, rows, n] with zeros; `gram` [groups, n, n] is the inputs' covariance."""
    factor, work, n = inverse_factor(gram), w.copy(), w.shape[-1]
    step = max(1, _BLOCK // pattern.width) * pattern.width
    for start in range(0, n, step):
        end = min(start + step, n)
        diagonal = np.diagonal(factor, axis1=1, axis2=2)[:, None, start:end]
        part = work[:, :, start:end]
        mask = np.stack([zeros(s, ratio, pattern) for s in np.square(part / diagonal)])
        errors = np.empty_like(part)
        for j in range(start, end):
            column = work[:, :, j]
            rest = np.where(mask[:, :, j - start], 0.0, column)
            error = (column - rest) / factor[:, None, j, j]
            work[:, :, j:end] -= error[:, :, None] * factor[:, None, j, j:end]
            work[:, :, j] = rest
            errors[:, :, j - start] = error
        work[:, :, end:] -= errors @ factor[:, start:end, end:]
    return work
