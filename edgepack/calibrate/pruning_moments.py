"""What the layers meet whose inputs may lose channels, and their weights without some of those."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from edgepack.calibrate.patches import (
    PATCHED_OPS,
    Moments,
    Places,
    grouped_weights,
    patches,
    ungrouped_weights,
)
from edgepack.calibrate.stepper import Stepper
from edgepack.compress.coupling import Keep
from edgepack.compress.removal import Channels, Group
from edgepack.compress.selection import Float, Index, Reader, compensated, shrunk_to_fit
from edgepack.ir import Array, Graph, Node
from edgepack.progress import advance


class Inputs:
    """What a layer reads: means [groups, n] and covariances [groups, n, n] of its patches.

    Of every second sample, and shrunk towards their diagonal as far as the other samples call for:
    few samples show dependences that there are not, and fitting to those costs more than it gains.
    """

    def __init__(self, node: Node, fit: Moments, check: Moments | None) -> None:
        gram, weights = fit.covariances[0], grouped_weights(node, node.input(1).const)
        other = None if check is None else check.covariances[0]
        self.mean = fit.means[0]
        self.gram = np.stack(
            [
                shrunk_to_fit(w, g, None if other is None else other[i])
                for i, (w, g) in enumerate(zip(weights, gram, strict=True))
            ]
        )


def input_moments(
    graph: Graph,
    samples: Sequence[Sequence[Array]],
    layers: Collection[str],
    *,
    seed: int = 0,
    threads: int = 2,
) -> dict[str, Inputs]:
    """What these layers of a canonical float graph read, by layer."""
    walk, rng = (
        Stepper(graph, samples, threads=threads, canonical=True),
        np.random.default_rng(seed),
    )
    found: dict[str, Inputs] = {}
    total = len(graph.nodes)
    for done in range(total):
        node = walk.node
        assert node is not None
        if node.name in layers and node.op in PATCHED_OPS:
            halves = (Moments(), Moments())
            for index, x in enumerate(walk.arrays(node.input(0))):
                halves[index % 2].add(patches(node, x, Places.drawn(node, rng)))
            found[node.name] = Inputs(node, halves[0], halves[1] if len(samples) > 1 else None)
        walk.step()
        advance(done + 1, total, "looking at layers' inputs")
    return found


def readers_of(group: Group, channels: Channels, seen: Mapping[str, Inputs]) -> list[Reader]:
    """The layers that read a group's channels, as far as their inputs are known."""
    found = []
    for node in group.readers:
        moments = seen.get(node.name)
        if moments is None:
            continue
        weights, gram = grouped_weights(node, node.input(1).const), moments.gram
        for part, columns in enumerate(_columns(node, channels, group)):
            if columns is not None:
                found.append(Reader(weights[part], gram[part], columns))
    return found


def _columns(node: Node, channels: Channels, group: Group) -> list[Index | None]:
    """For each part of a grouped layer, the columns of each channel of `group`, [channels, k]."""
    ids = channels.columns(node)
    parts = node.attrs.get("groups", 1)
    positions = grouped_weights(node, node.input(1).const).shape[-1] * parts // ids.size
    return [_columns_in(part, positions, group) for part in ids.reshape(parts, -1)]


def _columns_in(ids: Index, positions: int, group: Group) -> Index | None:
    places = [np.flatnonzero(ids == label) for label in group.labels]
    if len({place.size for place in places}) != 1 or not places[0].size:
        return None  # read unevenly: such a reader has no say
    offsets = np.arange(positions) * ids.size
    return np.stack([(offsets[:, None] + place).reshape(-1) for place in places])


def compensate(
    pruned: Graph, channels: Channels, gone: Collection[int], seen: Mapping[str, Inputs]
) -> None:
    """Let the layers of `pruned` that lost inputs make good for them with the others, in place.

    `channels` are those of the graph before anything was removed.
    """
    keep = Keep(channels.coupling, gone)
    twins = {node.name: node for node in pruned.nodes}
    for node in channels.graph.nodes:
        moments, columns = seen.get(node.name), channels.columns(node)
        if moments is not None and node.op != "DepthwiseConv2d" and not keep.along(columns).all():
            _compensate(pruned, twins[node.name], node, keep, columns, moments)


def _compensate(
    graph: Graph, twin: Node, node: Node, keep: Keep, columns: Index, moments: Inputs
) -> None:
    parts = node.attrs.get("groups", 1)
    mask = keep.along(columns).reshape(parts, -1)[0]
    rows = keep.mask(node.output).reshape(parts, -1)[0]
    whole = grouped_weights(node, node.input(1).const)[:, rows]
    kept = np.flatnonzero(np.tile(mask, whole.shape[-1] // mask.size))
    mean, gram = moments.mean, moments.gram
    new = np.stack([compensated(w, g, kept) for w, g in zip(whole, gram, strict=True)])
    shift = np.einsum("grn,gn->gr", whole, mean) - np.einsum("grn,gn->gr", new, mean[:, kept])
    set_layer(graph, twin, new, bias_of(twin) + shift.reshape(-1))


def bias_of(node: Node) -> Float:
    """The bias of a layer for each channel that it makes, zeros where it has none."""
    bias, count = node.optional(2), node.output.shape[-1]
    return np.zeros(count) if bias is None else np.broadcast_to(
        bias.const.astype(np.float64).reshape(-1), (count,)
    )  # fmt: skip


def set_layer(graph: Graph, node: Node, weights: Float, bias: Float) -> None:
    """Give a layer weights [groups, rows, n], as `grouped_weights` has them, and a bias."""
    old, own = node.input(1), node.optional(2)
    data = ungrouped_weights(node, weights, old.shape).astype(np.float32)
    name = f"{node.name}_bias" if own is None else own.name
    node.set_input(1, graph.constant(np.ascontiguousarray(data), old.name))
    node.set_input(2, graph.constant(bias.astype(np.float32), name))
