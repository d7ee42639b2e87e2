"""The technique sparsify: weights that are zero, layer after layer, fitted to calibration data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from edgepack.calibrate.patches import Moments, Places, grouped_weights, patches
from edgepack.calibrate.pruning_moments import bias_of, set_layer
from edgepack.calibrate.standing_in import stand_in, true_weights
from edgepack.calibrate.stepper import Stepper, affordable
from edgepack.compress.coupling import Keep
from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.packing import zeros_refusal_on
from edgepack.compress.removal import Channels
from edgepack.compress.sparse import Pattern, by_magnitude, by_reconstruction
from edgepack.errors import BadInput
from edgepack.ir import Array, Graph, Node
from edgepack.progress import advance
from edgepack.strict_toml import Table, near

SparsityCriterion = Literal["reconstruction", "magnitude"]
_LAYERS: Final = ("Conv2d", "FullyConnected")
_MOST_SAMPLES: Final = 128


@dataclass(frozen=True, slots=True)
class SparsitySettings:
    """`ratio` of each layer's weights becomes zero (that of the pattern where it says so)."""

    ratio: float
    pattern: Pattern = field(default_factory=Pattern)
    criterion: SparsityCriterion = "reconstruction"
    layers: Mapping[str, float] = field(default_factory=dict)


def read_settings(table: Table) -> SparsitySettings:
    """Settings from a recipe's step. Raises BadInput for values that are not possible."""
    pattern = Pattern.parse(table.text("pattern", "any"))
    if pattern is None:
        raise table.wrong("pattern", "any, N:M with N < M (such as 2:4), or block4")
    layers = table.table("layers")
    own = {name: _share(layers, name) for name in layers}
    ratio = 1 - pattern.kept / pattern.out_of if pattern.out_of else _share(table, "ratio")
    criterion = table.text("criterion", "reconstruction", one_of=get_args(SparsityCriterion))
    return SparsitySettings(ratio, pattern, criterion, own)  # type: ignore[arg-type]


def _share(table: Table, key: str) -> float:
    share = table.number(key)
    if not 0 <= share < 1:
        raise table.wrong(key, "a share from 0 to below 1: a layer keeps some of its weights")
    return share


@technique("sparsify", read=read_settings)
def sparsify(graph: Graph, settings: SparsitySettings, context: Context) -> Outcome:
    """Make weights of `graph` zero, in place, where the target stores zeros in less.

    Raises BadInput for layers that there are not, or whose channels the pattern does not divide.
    """
    shares = _shares(graph, settings)
    reason = zeros_refusal_on(context.target)
    if reason is not None:
        return Outcome(refused=(Refusal("", reason),))
    if not any(shares.values()):
        return Outcome(notes=("nothing was to become zero",))
    work, corrections = stand_in(graph, context)
    given = context.inputs()
    samples = affordable(work, given, _MOST_SAMPLES)
    changed = _walk(work, samples, settings, shares, context)
    channels = Channels(work)
    true_weights(graph, work, corrections, Keep(channels.coupling, ()), channels)
    return Outcome(tuple(changed), notes=("zeros take less in the step `code` only",))


def _shares(graph: Graph, settings: SparsitySettings) -> dict[str, float]:
    """The share of zeros of each layer."""
    layers = {n.name: n for n in graph.nodes_of(*_LAYERS) if n.input(1).is_const}
    for name in settings.layers:
        if name not in layers:
            raise BadInput(f"sparsify: the model has no layer {name}", hint=near(name, layers))
    found = {name: settings.layers.get(name, settings.ratio) for name in layers}
    for name, share in found.items():
        channels, width = layers[name].input(1).shape[-1], settings.pattern.width
        if share and channels % width:
            raise BadInput(
                f"sparsify: {name} reads {channels} channels, which do not divide into {width}",
                hint=f'give it a share of 0: [compress.layers] "{name}" = 0',
            )
    return found


def _walk(
    graph: Graph,
    samples: Sequence[Sequence[Array]],
    settings: SparsitySettings,
    shares: Mapping[str, float],
    context: Context,
) -> list[str]:
    walk = Stepper(graph, samples, threads=context.threads, canonical=True)
    rng, changed, total = np.random.default_rng(context.seed), [], len(graph.nodes)
    for done in range(total):
        node = walk.node
        assert node is not None
        if shares.get(node.name):
            moments = Moments()
            for x in walk.arrays(node.input(0)):
                moments.add(patches(node, x, Places.drawn(node, rng)))
            changed.append(_sparsify(graph, node, moments, settings, shares[node.name]))
        walk.step()
        advance(done + 1, total, "choosing zeros")
    return changed


def _sparsify(
    graph: Graph, node: Node, moments: Moments, settings: SparsitySettings, share: float
) -> str:
    w, mean = grouped_weights(node, node.input(1).const), moments.means[0]
    if settings.criterion == "magnitude":
        new = by_magnitude(w, share, settings.pattern)
    else:
        gram = moments.hedged_covariances(node.input(1).shape[-1])[0]
        new = by_reconstruction(w, gram, share, settings.pattern)
    shift = np.einsum("grn,gn->gr", w - new, mean).reshape(-1)
    set_layer(graph, node, new, bias_of(node) + shift)
    return f"{node.name}: {np.mean(new == 0):.1%} of {new.size:,} weights are zero"
