"""The technique `factorize`: layers become two or three smaller ones, fitted to what they meet.

First every layer is looked at on the inputs of the model as it was: what each way to split it costs
and loses. Then the budget is shared out, and the layers are split one after the other, each for the
inputs that the split ones before it give (as in `sequential`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edgepack.calibrate.biases import row_products, sample_means
from edgepack.calibrate.patches import (
    Moments,
    Places,
    grouped_weights,
    patches,
    ungrouped_weights,
)
from edgepack.calibrate.shift_effects import affordable_effects, shift_effects
from edgepack.calibrate.stand_in import Corrections
from edgepack.calibrate.standing_in import stand_in
from edgepack.calibrate.stepper import Stepper, affordable
from edgepack.compress.factorize import (
    FORMS,
    Factors,
    Form,
    Layer,
    Split,
    choose,
    elements_of,
    factors,
    rank_for_energy,
    saves,
    splits,
)
from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.rounding import channel_multiple, multiple_for
from edgepack.compress.split import split_layer
from edgepack.compress.vbmf import vbmf_rank
from edgepack.errors import BadInput
from edgepack.ir import Array, Graph, Node
from edgepack.progress import advance
from edgepack.quantize.gptq import best_target
from edgepack.strict_toml import Table, near

_SAMPLES: Final = 256
_MOST_COLUMNS: Final = 2304  # of a patch, beyond which its covariance is not asked for
_ROUNDS: Final = 2
_LEAST_FREE: Final = 0.02  # share of outputs that a bias must move for it to be worth moving
_SPLIT_OPS: Final = ("Conv2d", "FullyConnected")


@dataclass(frozen=True, slots=True)
class FactorizeSettings:
    """How ranks are found, and which forms are tried.

    `ratio` is the share of all weights to remove, `energy` the share of each layer's output power
    to keep, and vbmf needs neither. `layers` has ranks by name (0 leaves a layer alone).
    """

    ratio: float | None = None
    energy: float | None = None
    vbmf: bool = False
    forms: tuple[Form, ...] = ("svd", "tucker")
    layers: Mapping[str, int] = field(default_factory=dict)


def read_settings(table: Table) -> FactorizeSettings:
    """Settings from a recipe's step. Raises BadInput for what is no share, or contradictions."""
    layers = table.table("layers")
    ranks = {name: layers.integer(name) for name in layers}
    shares = {key: table.number(key) for key in ("ratio", "energy") if key in table}
    for key, share in shares.items():
        if not 0 <= share <= 1 or (key == "ratio" and share == 1):
            raise table.wrong(key, "a share from 0 to 1")
    vbmf = table.flag("vbmf", False)
    if len(shares) + vbmf > 1 or not (shares or vbmf or ranks):
        raise BadInput("factorize takes one of ratio, energy, vbmf = true, or layers with ranks")
    forms = table.texts("forms", ("svd", "tucker"), one_of=FORMS)
    return FactorizeSettings(shares.get("ratio"), shares.get("energy"), vbmf, forms, ranks)  # type: ignore[arg-type]


@technique("factorize", read=read_settings)
def factorize(graph: Graph, settings: FactorizeSettings, context: Context) -> Outcome:
    """Split layers of `graph` where that takes fewer weights, in place.

    Raises BadInput for layers that the model has not, and for ranks above the full one.
    """
    _refuse_unknown(graph, settings)
    twin, corrections = stand_in(graph, context)
    samples = affordable(twin, context.inputs(), _SAMPLES)
    seen = observe(twin, samples, threads=context.threads, seed=context.seed)
    chosen, refused = _choose(graph, seen, settings, channel_multiple(context.target))
    found = fit(
        twin,
        seen,
        chosen,
        samples,
        refit=context.has_data,
        threads=context.threads,
        seed=context.seed,
    )
    changed = []
    for node in graph.nodes:
        fitted = found.get(node.name)
        if fitted is None:
            continue
        if fitted.factors is None:
            _set(graph, node, fitted.weights, fitted.bias)
        else:
            changed.append(_told(node, fitted.factors))
            _split(graph, node, fitted.factors, fitted.bias, corrections)
    return Outcome(tuple(changed), tuple(refused))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """New weights of a layer and the bias [out] that belongs to them; factors where it is split."""

    weights: Array
    bias: Array
    factors: Factors | None = None


def observe(
    graph: Graph, samples: Sequence[Sequence[Array]], *, threads: int = 2, seed: int = 0
) -> dict[str, Layer]:
    """Every layer that could be split, on the inputs that it meets in `graph` (canonical)."""
    walk = Stepper(graph, samples, threads=threads, canonical=True)
    rng, found = np.random.default_rng(seed), {}
    while (node := walk.node) is not None:
        if _why_not(node) is None:
            found[node.name] = _layer(node, *_covariances(node, node, walk, walk, rng)[:2])
        walk.step()
    nodes = [node for node in graph.nodes if node.name in found]
    if affordable_effects(graph, nodes):
        for node in nodes:
            layer = found[node.name]
            deviation = np.sqrt(np.einsum("on,nm,om->o", layer.w, layer.gram, layer.w))
            effects = shift_effects(graph, node.name, samples, deviation, threads)
            found[node.name] = dataclasses.replace(layer, effects=effects)
    return found


def fit(
    graph: Graph,
    seen: Mapping[str, Layer],
    chosen: Mapping[str, Split],
    samples: Sequence[Sequence[Array]],
    *,
    refit: bool = True,
    threads: int = 2,
    seed: int = 0,
) -> dict[str, Fitted]:
    """Factors of the layers chosen; `graph` (canonical) gets their products as weights.

    `seen` is what `observe` told of the layers. With `refit`, for samples that are true inputs,
    layers that stay whole are fitted to what the split ones give them, and biases to the means
    behind activations.
    """
    one = Stepper(graph.copy(), samples, threads=threads, canonical=True)
    two = Stepper(graph, samples, threads=threads, canonical=True)
    rng = np.random.default_rng(seed)
    found: dict[str, Fitted] = {}
    total = len(graph.nodes)
    for done in range(total):
        node, was = two.node, one.node
        assert node is not None
        assert was is not None
        fitted = None
        if node.name in chosen:
            fitted = _fit(node, was, one, two, rng, seen[node.name], chosen[node.name])
        elif refit and found and _why_not_fitted(node) is None:
            fitted = _refit(node, was, one, two, rng)
        outputs = one.outputs()
        one.step(outputs)
        if fitted is None:
            two.step()
        else:
            _set(graph, node, fitted.weights, fitted.bias)
            given = _correct(graph, node, two, outputs) if refit else None
            found[node.name] = dataclasses.replace(fitted, bias=node.input(2).const)
            two.step(given)
        advance(done + 1, total, "splitting layers")
    return found


def _fit(
    node: Node, was: Node, one: Stepper, two: Stepper, rng: np.random.Generator,
    seen: Layer, split: Split,
) -> Fitted:  # fmt: skip
    """The factors that err least before the activation, on the inputs as they are."""
    gram, cross, x_mean, q_mean = _covariances(node, was, one, two, rng)
    layer = _layer(node, gram, cross, seen.effects)
    parts = factors(layer, split)
    bias = _bias(was) + layer.w @ x_mean - parts.product @ q_mean
    return Fitted(parts.product, bias, parts)


def _refit(node: Node, was: Node, one: Stepper, two: Stepper, rng: np.random.Generator) -> Fitted:
    """A layer that stays whole, for the inputs that split ones give it."""
    moments = Moments()
    for x, q in zip(one.arrays(was.input(0)), two.arrays(node.input(0)), strict=True):
        places = Places.drawn(node, rng)
        moments.add(patches(was, x, places), patches(node, q, places))
    own, (x_mean, q_mean) = grouped_weights(node, node.input(1).real), moments.means
    w = best_target(own, *moments.covariances)
    bias = _bias(was) + row_products(own, x_mean) - row_products(w, q_mean)
    return Fitted(ungrouped_weights(node, w, node.input(1).shape), bias)


def _correct(
    graph: Graph, node: Node, two: Stepper, wanted: Sequence[Sequence[Array]]
) -> list[list[Array]]:
    """Move the bias until the mean of each channel behind the activation is as it was.

    Returns the outputs after that.
    """
    outputs = two.outputs()
    for _ in range(_ROUNDS):
        means = [
            sample_means([r[0] for r in results]).mean(axis=0) for results in (wanted, outputs)
        ]
        rows = [r[0].reshape(-1, r[0].shape[-1]) for r in outputs]
        clipped = node.attrs["activation"] != "none"
        free = np.mean([(a > 0).mean(axis=0) if clipped else 1.0 for a in rows], axis=0)
        move = np.where(free > _LEAST_FREE, (means[0] - means[1]) / np.maximum(free, 0.1), 0.0)
        _set(graph, node, node.input(1).const, node.input(2).const + move)
        outputs = two.outputs()
    return outputs


def _bias(node: Node) -> Array | float:
    own = node.optional(2)
    return 0.0 if own is None else own.const


def _why_not_fitted(node: Node) -> str | None:
    if node.op == "DepthwiseConv2d" and node.input(1).is_const:
        return None
    return _why_not(node)


def _set(graph: Graph, node: Node, w: Array, bias: Array) -> None:
    old = node.input(1)
    weights = w.astype(np.float32).reshape(old.shape)
    node.set_input(1, graph.constant(weights, old.name))
    node.set_input(2, graph.constant(bias.astype(np.float32), f"{node.name}_bias"))


def _split(graph: Graph, node: Node, parts: Factors, bias: Array, corrections: Corrections) -> None:
    """Split a layer of the model itself: what made synthetic inputs suit it is taken out again."""
    last = parts.last
    if node.name in corrections:
        correction = corrections[node.name]
        last = last / correction.gain[:, None]
        bias = (bias - correction.shift) / correction.gain
    split_layer(graph, node, dataclasses.replace(parts, last=last), bias)


def _layer(node: Node, gram: Array, cross: Array, effects: Array | None = None) -> Layer:
    w = node.input(1)
    positions = w.shape[1] * w.shape[2] if node.op == "Conv2d" else 1
    return Layer(grouped_weights(node, w.real)[0], positions, gram, cross, effects)


def _covariances(
    node: Node, was: Node, one: Stepper, two: Stepper, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Of the inputs as they are, and as they were with these; and both means."""
    n = int(np.prod(node.input(1).shape[1:]))
    if n > _MOST_COLUMNS:
        return np.eye(n), np.eye(n), np.zeros(n), np.zeros(n)
    moments, rows = Moments(), 0
    arrays = zip(one.arrays(was.input(0)), two.arrays(node.input(0)), strict=True)
    for x, q in arrays:
        places = Places.drawn(node, rng)
        met = patches(was, x, places)
        moments.add(met, None if one is two else patches(node, q, places))
        rows += met.shape[1]
    # what few rows seem to tell of how many numbers depend on each other is believed in part
    kept = rows / (n + rows) + n / (n + rows) * np.eye(n)
    gram, cross = (c[0] * kept for c in moments.covariances)
    x_mean, q_mean = (m[0] for m in moments.means)
    return gram, gram if one is two else cross, x_mean, q_mean


def _choose(
    graph: Graph, seen: Mapping[str, Layer], settings: FactorizeSettings, liked: int
) -> tuple[dict[str, Split], list[Refusal]]:
    chosen: dict[str, Split] = {}
    refused: list[Refusal] = []
    open_layers: dict[str, Layer] = {}
    for node in graph.nodes_of(*_SPLIT_OPS):
        reason = _why_not(node)
        if reason is not None:
            refused.append(Refusal(node.name, reason))
        elif node.name in settings.layers:
            rank = settings.layers[node.name]
            _refuse_rank(node, seen[node.name], rank)
            if rank:
                _take(node.name, seen[node.name], rank, chosen, refused)
        else:
            open_layers[node.name] = seen[node.name]
    if settings.ratio is not None:
        chosen |= _within(open_layers, settings, settings.ratio, liked, graph)
    elif settings.energy is not None or settings.vbmf:
        for name, layer in open_layers.items():
            share = settings.energy
            rank = vbmf_rank(layer.w) if share is None else rank_for_energy(layer, share)
            _take(name, layer, rank, chosen, refused)
    return chosen, refused


def _take(
    name: str, layer: Layer, rank: int, chosen: dict[str, Split], refused: list[Refusal]
) -> None:
    """Split at a rank, where that takes fewer weights."""
    split = Split(elements_of(layer, "svd", rank), 0.0, "svd", rank)
    if rank >= layer.full_rank or not saves(layer, split):
        reason = f"at rank {rank} of {layer.full_rank} it would not take fewer bytes than now"
        refused.append(Refusal(name, reason))
    else:
        chosen[name] = split


def _within(
    layers: Mapping[str, Layer],
    settings: FactorizeSettings,
    ratio: float,
    liked: int,
    graph: Graph,
) -> dict[str, Split]:
    """Splits that remove a share of all the model's weights, with the least loss in all."""
    whole = {name: Split(layer.w.size, 0.0) for name, layer in layers.items()}
    candidates = {
        name: [whole[name], *splits(layer, settings.forms, multiple_for(layer.full_rank, liked))]
        for name, layer in layers.items()
    }
    every = sum(node.input(1).size for node in _weighted(graph))
    rest = every - sum(split.elements for split in whole.values())
    chosen = choose(candidates, round(every * (1 - ratio)) - rest)
    return {name: split for name, split in chosen.items() if split is not whole[name]}


def _weighted(graph: Graph) -> list[Node]:
    ops = (*_SPLIT_OPS, "DepthwiseConv2d")
    return [node for node in graph.nodes_of(*ops) if node.input(1).is_const]


def _why_not(node: Node) -> str | None:
    """Why a layer is not split; None when it may be."""
    if node.op not in _SPLIT_OPS or not node.input(1).is_const:
        return "its weights are computed while the model runs"
    if len(node.input(1).users) > 1:
        return "its weights serve several layers"
    if node.op == "Conv2d" and (node.attrs["groups"] != 1 or node.attrs["layout"] != "NHWC"):
        return "it is a convolution in groups"
    return None


def _refuse_unknown(graph: Graph, settings: FactorizeSettings) -> None:
    known = [node.name for node in graph.nodes_of(*_SPLIT_OPS)]
    for name in settings.layers:
        if name not in known:
            raise BadInput(f"the model has no layer {name} to split", hint=near(name, known))


def _refuse_rank(node: Node, layer: Layer, rank: int) -> None:
    if rank > layer.full_rank:
        raise BadInput(
            f"rank {rank} is above the full rank of {node.name}, which is {layer.full_rank}",
            hint="give a smaller rank, or 0 to leave the layer alone",
        )


def _told(node: Node, parts: Factors) -> str:
    split = parts.split
    rank = f"rank {split.rank}" + (f", {split.reduced} input channels" if split.reduced else "")
    return (
        f"{node.name}: {node.input(1).size:,} to {split.elements:,} weights ({split.form}, {rank})"
    )
