"""How much a channel matters: the criteria by which channels go, one order for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

import numpy as np

from edgepack.calibrate.patches import grouped_weights
from edgepack.calibrate.pruning_moments import Inputs, readers_of
from edgepack.compress.frame import Context
from edgepack.compress.removal import Channels, Group
from edgepack.compress.selection import (
    Float,
    Path,
    cheapest_path,
    distances_from_others,
    path_by,
)
from edgepack.ir import Array, Graph, Node
from edgepack.progress import advance

Criterion = Literal[
    "reconstruction", "l1", "l2", "batchnorm", "median", "activation", "energy", "taylor"
]
CRITERIA: Final[tuple[str, ...]] = get_args(Criterion)
_BY_FILTERS: Final = ("l1", "l2", "batchnorm", "median")


def paths_of(
    criterion: Criterion,
    channels: Channels,
    seen: Mapping[str, Inputs],
    graph: Graph,
    samples: Sequence[Sequence[Array]],
    context: Context,
) -> list[Path]:
    """For each group, the order in which its channels go."""
    found = []
    for done, group in enumerate(channels.groups):
        found.append(_path(criterion, channels, group, seen))
        advance(done + 1, len(channels.groups), "ordering channels")
    return found


def _path(
    criterion: Criterion, channels: Channels, group: Group, seen: Mapping[str, Inputs]
) -> Path:
    readers = readers_of(group, channels, seen)
    if criterion == "reconstruction" and readers:
        return cheapest_path(readers, len(group.labels))
    scores = [_filter_scores(criterion, channels, group, node) for node in group.makers]
    return path_by(np.sum(scores, axis=0) if scores else np.zeros(len(group.labels)))


def _filter_scores(criterion: Criterion, channels: Channels, group: Group, node: Node) -> Float:
    """A score of each channel by one layer that makes it, with a mean of 1."""
    w = grouped_weights(node, node.input(1).const)
    filters = w.reshape(-1, w.shape[-1])
    if criterion == "median":
        each = distances_from_others(filters)
    elif criterion == "batchnorm" and node.output.name in channels.graph.source.batch_moments:
        each = channels.graph.source.batch_moments[node.output.name].deviation
    elif criterion == "l1":
        each = np.abs(filters).sum(axis=1)
    else:
        each = np.square(filters).sum(axis=1)
    rows = channels.rows(node)
    summed = np.array([each[rows == label].sum() for label in group.labels])
    return summed / max(float(summed.mean()), 1e-300)
