"""Layers split in two or three smaller ones: where to, at what rank, and with what error.

A layer y = W x + b, x being a patch of n = positions * channels numbers, becomes y = B (F x) + b'
with rank rows in F. Its forms differ in what F may be:

- svd: anything. For weights alone that is their singular value decomposition; with the inputs'
  covariance G = H H' it is that of W H, which errs least on what the layer really meets (Zhang et
  al. 2015, arXiv:1505.06798). A convolution keeps its window in F, B is 1x1.
- tucker: a 1x1 convolution that brings the input down to fewer channels, then as svd on these (Kim
  et al. 2016, arXiv:1511.06530).
- cp: one channel mix and one window for each row, so a 1x1, a depthwise and a 1x1 convolution
  (Lebedev et al. 2015, arXiv:1412.6553, with the window kept whole).

B is always the least-squares solution for the F that was found, and b' makes up for the mean of
what is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from edgepack.ir import Array

Form = Literal["svd", "tucker", "cp"]
FORMS: Final[tuple[Form, ...]] = ("svd", "tucker", "cp")

_RIDGE: Final = 1e-2  # share of the mean variance by which no direction is certain to be unused
_SCALE_BYTES: Final = 12  # a scale and a zero point of a channel
_LAYER_BYTES: Final = 250  # of another operator with its tensors in a file
_EVEN: Final = 0.03  # of the mean effect, which no output's error stays below
_REDUCED: Final = (0.25, 0.375, 0.5, 0.625, 0.75)  # shares of input channels that tucker tries
_SWEEPS: Final = 30  # of the alternating least squares for cp
_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What is split: weights `w` [out, positions * channels], and what is known of its inputs.

    `gram` [n, n] is the covariance of the inputs as they are, `cross` [n, n] that of the inputs as
    they were with these; both are the identity where nothing is known. `effects` [rows, out] is
    what an error of each output becomes at the model's outputs; without it all are alike, and
    errors are shares of the layer's own power.
    """

    w: Array
    positions: int
    gram: Array
    cross: Array
    effects: Array | None = None

    @property
    def channels(self) -> int:
        """Of the input."""
        return int(self.w.shape[1]) // self.positions

    @property
    def full_rank(self) -> int:
        """The rank from which on nothing is lost."""
        return min(int(d) for d in self.w.shape)


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """One way to split a layer: `elements` of weights, and the share of the output's power lost."""

    elements: int
    error: float
    form: Form = "svd"
    rank: int = 0
    reduced: int = 0  # input channels that tucker keeps


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """`last` [out, rank] is B; `rows` [rank, n] is F, `first` what it is made of.

    svd: `first` is empty. tucker: (channels kept x channels, rank x positions * kept).
    cp: (rank x channels, rank x positions).
    """

    split: Split
    last: Array
    rows: Array
    first: tuple[Array, ...] = ()

    @property
    def product(self) -> Array:
        """The weights that this amounts to, [out, n]."""
        return self.last @ self.rows


def elements_of(layer: Layer, form: Form, rank: int, reduced: int = 0) -> int:
    """Weights of a layer that was split."""
    out, n = (int(d) for d in layer.w.shape)
    if form == "svd":
        return rank * (n + out)
    if form == "tucker":
        return reduced * layer.channels + layer.positions * reduced * rank + rank * out
    return rank * (layer.channels + layer.positions + out)


def splits(layer: Layer, forms: Sequence[Form], multiple: int = 1) -> list[Split]:
    """The ways to split with fewer weights than now, ranks being multiples of `multiple`."""
    found: list[Split] = []
    if "svd" in forms:
        found += _svd_splits(layer, multiple)
    if "tucker" in forms and layer.positions > 1:
        found += _tucker_splits(layer, multiple)
    if "cp" in forms and layer.positions > 1:
        found += _cp_splits(layer, multiple)
    return [split for split in found if saves(layer, split)]


def saves(layer: Layer, split: Split) -> bool:
    """Whether a split takes less, also as int8 with the scales and records of its new tensors."""
    scales = _SCALE_BYTES * (split.rank + split.reduced)
    return split.elements + scales + _LAYER_BYTES < layer.w.size


def factors(layer: Layer, split: Split) -> Factors:
    """The factors of `layer` for one of its splits."""
    if split.form == "svd":
        rows = _best_rows(layer, split.rank)
        return Factors(split, *_with_last(layer, rows))
    if split.form == "tucker":
        mix = _channel_mix(layer, split.reduced)
        spread = _spread(mix, layer.positions)
        core = _best_rows(_seen_through(layer, spread), split.rank)
        last, rows = _with_last(layer, core @ spread)
        scale = _row_scale(rows, core @ spread)
        return Factors(split, last, rows, (mix, core * scale[:, None]))
    mix, window = _cp_rows(layer, split.rank)
    plain = _separable(mix, window)
    last, rows = _with_last(layer, plain)
    return Factors(split, last, rows, (mix * _row_scale(rows, plain)[:, None], window))


def error_of(layer: Layer, found: Factors) -> float:
    """The share of the output's power that `found` loses on the inputs known of."""
    lost = best_weights(layer) - found.product
    if layer.effects is not None:
        seen = layer.effects @ lost
        return float(np.einsum("on,nm,om->", seen, layer.gram, seen))
    power = float(np.einsum("on,nm,om->", layer.w, layer.gram, layer.w))
    return float(np.einsum("on,nm,om->", lost, layer.gram, lost)) / max(power, 1e-30)


def best_weights(layer: Layer) -> Array:
    """W E[x q'] E[q q']^-1: what gives the outputs as they were from the inputs as they are."""
    if layer.cross is layer.gram:
        return layer.w
    return np.linalg.solve(_held(layer.gram), (layer.w @ (layer.cross + _hold(layer.gram))).T).T


def choose(candidates: Mapping[str, Sequence[Split]], budget: int) -> dict[str, Split]:
    """One split of each layer, with at most `budget` weights in all and the least summed error.

    Every list must have an entry for the layer as it is. Where even the smallest splits take more
    than the budget, those are the answer.
    """
    errors = [split.error for splits in candidates.values() for split in splits if split.error > 0]
    low, high = min(errors, default=1.0) * 1e-9, max(errors, default=1.0)
    while _weights(_cheapest(candidates, high)) > budget and high < max(errors, default=1.0) * 4:
        high *= 2
    for _ in range(_HALVINGS):
        price = math.sqrt(low * high)
        if _weights(_cheapest(candidates, price)) > budget:
            low = price
        else:
            high = price
    return _cheapest(candidates, high)


def rank_for_energy(layer: Layer, share: float) -> int:
    """The least rank that keeps this share of the output's power."""
    power = np.square(_values(layer))
    kept = np.cumsum(power) / max(power.sum(), 1e-300)
    return int(np.searchsorted(kept, share - 1e-12) + 1)


# -- choosing --------------------------------------------------------------------------------------


def _cheapest(candidates: Mapping[str, Sequence[Split]], price: float) -> dict[str, Split]:
    return {
        name: min(splits, key=lambda s: s.error + price * s.elements)
        for name, splits in candidates.items()
    }


def _weights(chosen: Mapping[str, Split]) -> int:
    return sum(split.elements for split in chosen.values())


def _ranks(top: int, multiple: int) -> Iterator[int]:
    step = multiple if top >= 2 * multiple else 1
    return iter(range(step, top + 1, step))


# -- svd -------------------------------------------------------------------------------------------


def _svd_splits(layer: Layer, multiple: int) -> list[Split]:
    lost = _lost(layer, _values(layer))
    return [
        Split(elements_of(layer, "svd", rank), float(lost[rank]), "svd", rank)
        for rank in _ranks(layer.full_rank, multiple)
    ]


def _lost(layer: Layer, values: Array) -> Array:
    """What is lost at each rank from 0 on: power at the model's outputs, else a share."""
    power = np.square(values)
    total = float(power.sum())
    left = (total - np.concatenate([[0.0], np.cumsum(power)])).clip(0.0)
    return left if layer.effects is not None else left / max(total, 1e-300)


def _values(layer: Layer) -> Array:
    """The singular values of the weights as the inputs weigh them."""
    root, _ = _roots(layer.gram)
    values: Array = np.linalg.svd(_weighed(layer) @ root, compute_uv=False)
    return values


def _weighed(layer: Layer) -> Array:
    """The weights, outputs counting by what comes of their errors."""
    w = best_weights(layer)
    if layer.effects is None:
        return w
    floor = _EVEN * np.linalg.norm(layer.effects) / np.sqrt(len(w)) * np.eye(len(w))
    return np.concatenate([layer.effects @ w, floor @ w])


def _best_rows(layer: Layer, rank: int) -> Array:
    root, inverse = _roots(layer.gram)
    _, _, right = np.linalg.svd(_weighed(layer) @ root, full_matrices=False)
    rows: Array = right[:rank] @ inverse
    return rows


def _with_last(layer: Layer, rows: Array) -> tuple[Array, Array]:
    """(B, F) for the rows of F: least squares, every row giving numbers of deviation 1."""
    held = _held(layer.gram)
    met = rows @ held  # [rank, n]
    own = met @ rows.T
    deviation = np.sqrt(np.maximum(np.diagonal(own), 1e-30))
    last = np.linalg.lstsq(own.T, (best_weights(layer) @ met.T).T, rcond=1e-12)[0].T
    return last * deviation, rows / deviation[:, None]


def _row_scale(rows: Array, of: Array) -> Array:
    scale: Array = np.linalg.norm(rows, axis=1) / np.maximum(np.linalg.norm(of, axis=1), 1e-30)
    return scale


# -- tucker ----------------------------------------------------------------------------------------


def _tucker_splits(layer: Layer, multiple: int) -> list[Split]:
    found = []
    for share in _REDUCED:
        reduced = max(multiple, round(share * layer.channels / multiple) * multiple)
        if reduced >= layer.channels:
            continue
        spread = _spread(_channel_mix(layer, reduced), layer.positions)
        inner = _seen_through(layer, spread)
        values = _values(inner)
        whole = float(np.square(_values(layer)).sum())
        lost = whole - np.concatenate([[0.0], np.cumsum(np.square(values))])
        if layer.effects is None:
            lost /= max(whole, 1e-300)
        found += [
            Split(
                elements_of(layer, "tucker", rank, reduced), float(max(lost[rank], 0.0)), "tucker",
                rank, reduced,
            )
            for rank in _ranks(inner.full_rank, multiple)
        ]  # fmt: skip
    return found


def _channel_mix(layer: Layer, kept: int) -> Array:
    """The channels that matter most, [kept, channels]: of the weights as the inputs weigh them."""
    channels, positions = layer.channels, layer.positions
    grams = layer.gram.reshape(positions, channels, positions, channels)
    mean = np.einsum("pcpd->cd", grams) / positions
    root, inverse = _roots(mean)
    folded = _weighed(layer).reshape(-1, channels) @ root
    _, _, right = np.linalg.svd(folded, full_matrices=False)
    mix: Array = right[:kept] @ inverse
    return mix


def _spread(mix: Array, positions: int) -> Array:
    """The channel mix at every position, [positions * kept, positions * channels]."""
    return np.kron(np.eye(positions), mix)


def _seen_through(layer: Layer, spread: Array) -> Layer:
    """The layer on inputs that `spread` has brought down."""
    met = spread @ _held(layer.gram)
    gram = met @ spread.T
    w = np.linalg.lstsq(gram, met @ best_weights(layer).T, rcond=1e-12)[0].T
    return Layer(w, layer.positions, gram, gram, layer.effects)


# -- cp --------------------------------------------------------------------------------------------


def _cp_splits(layer: Layer, multiple: int) -> list[Split]:
    found = []
    for share in (0.5, 0.75, 1.0, 1.5, 2.0):
        rank = max(multiple, round(share * len(layer.w) / multiple) * multiple)
        split = Split(elements_of(layer, "cp", rank), 0.0, "cp", rank)
        if split.elements < layer.w.size:
            error = error_of(layer, factors(layer, split))
            found.append(Split(split.elements, error, "cp", rank))
    return found


def _cp_rows(layer: Layer, rank: int) -> tuple[Array, Array]:
    """(channel mixes [rank, channels], windows [rank, positions]) by alternating least squares."""
    out, positions, channels = len(layer.w), layer.positions, layer.channels
    tensor = best_weights(layer).reshape(out, positions, channels)
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((rank, channels))
    window = rng.standard_normal((rank, positions))
    for _ in range(_SWEEPS):
        last = _solved(np.einsum("opc,rp,rc->or", tensor, window, mix), window, mix)
        window = _solved(np.einsum("opc,or,rc->pr", tensor, last, mix), last.T, mix).T
        window /= np.maximum(np.linalg.norm(window, axis=1), 1e-12)[:, None]
        mix = _solved(np.einsum("opc,or,rp->cr", tensor, last, window), last.T, window).T
    return mix, window


def _solved(right: Array, a: Array, b: Array) -> Array:
    own = (a @ a.T) * (b @ b.T)
    own += 1e-9 * np.trace(own) / len(own) * np.eye(len(own))
    found: Array = np.linalg.solve(own, right.T).T
    return found


def _separable(mix: Array, window: Array) -> Array:
    rows: Array = np.einsum("rp,rc->rpc", window, mix).reshape(len(mix), -1)
    return rows


# -- moments ---------------------------------------------------------------------------------------


def _hold(gram: Array) -> Array:
    n = len(gram)
    scale = np.trace(gram) / n * _RIDGE
    return (scale if scale > 0 else 1.0) * np.eye(n)


def _held(gram: Array) -> Array:
    held: Array = gram + _hold(gram)
    return held


def _roots(gram: Array) -> tuple[Array, Array]:
    """H and its inverse, with H H' the covariance, held up where inputs say little."""
    values, vectors = np.linalg.eigh(_held(gram))
    root = np.sqrt(np.maximum(values, math.ulp(float(values[-1]))))
    return vectors * root, (vectors / root).T
