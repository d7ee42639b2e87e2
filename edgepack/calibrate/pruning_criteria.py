"""How much a channel matters: the criteria by which channels go, one order for each group.

- reconstruction: what the layers that read it lose when their other inputs make good for it
  (`compress.selection`), each time with those that went before gone; numpy and any inputs.
- energy: what those layers lose when nothing makes good: variance times squared weights.
- activation: mean magnitude behind the activation.
- taylor: first-order change of the outputs (Molchanov et al. 2017, arXiv:1611.06440), the squares
  of activation times gradient, of random projections of the outputs: no labels, but torch.
- l1, l2: of the filter (Li et al. 2017, arXiv:1608.08710); median: of the distances from the other
  filters (He et al. 2019, arXiv:1811.00250); batchnorm: its scale (Liu et al. 2017,
  arXiv:1708.06519), the filter's length where a layer had none. These want no inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, get_args

import numpy as np

from edgepack.calibrate.patches import grouped_weights
from edgepack.calibrate.pruning_moments import Inputs, readers_of
from edgepack.calibrate.stepper import Stepper
from edgepack.calibrate.torch_graph import require_torch, tensor, torch_function
from edgepack.compress.frame import Context
from edgepack.compress.removal import Channels, Group
from edgepack.compress.selection import (
    Float,
    Path,
    Reader,
    cheapest_path,
    distances_from_others,
    path_by,
)
from edgepack.ir import Array, Graph, Node, Value
from edgepack.progress import advance

Criterion = Literal[
    "reconstruction", "energy", "activation", "taylor", "l1", "l2", "median", "batchnorm"
]
CRITERIA: Final[tuple[str, ...]] = get_args(Criterion)
_TAYLOR_SAMPLES: Final = 32
# Scores of the channels that a layer makes, [channels].
_Scores = Callable[[Node], Float]


def paths_of(
    criterion: Criterion,
    channels: Channels,
    seen: Mapping[str, Inputs],
    samples: Sequence[Sequence[Array]],
    context: Context,
) -> list[Path]:
    """For each group, the order in which its channels go. Taylor raises MissingDependency."""
    scores = _scores(criterion, channels, samples, context)
    found = []
    for done, group in enumerate(channels.groups):
        found.append(_path(criterion, channels, group, readers_of(group, channels, seen), scores))
        advance(done + 1, len(channels.groups), "ordering channels")
    return found


def _path(
    criterion: Criterion,
    channels: Channels,
    group: Group,
    readers: Sequence[Reader],
    scores: _Scores,
) -> Path:
    if criterion == "reconstruction" and readers:
        return cheapest_path(readers, len(group.labels))
    if criterion == "energy" and readers:
        return path_by(np.sum([_normal(_energy(reader)) for reader in readers], axis=0))
    parts = [_by_label(scores(node), channels, group, node) for node in group.makers]
    return path_by(np.sum(parts, axis=0) if parts else np.zeros(len(group.labels)))


def _energy(reader: Reader) -> Float:
    power = np.diagonal(reader.gram) * np.square(reader.weights).sum(axis=0)
    found: Float = power[reader.columns].sum(axis=1)
    return found


def _by_label(each: Float, channels: Channels, group: Group, node: Node) -> Float:
    """Scores of a layer's channels, for those of a group, with a mean of 1."""
    rows = channels.rows(node)
    return _normal(np.array([each[rows == label].sum() for label in group.labels]))


def _normal(scores: Float) -> Float:
    return scores / max(float(scores.mean()), 1e-300)


def _scores(
    criterion: Criterion,
    channels: Channels,
    samples: Sequence[Sequence[Array]],
    context: Context,
) -> _Scores:
    moments = channels.graph.source.batch_moments
    if criterion in ("activation", "taylor"):
        measure = _activations if criterion == "activation" else _gradients
        measured = measure(channels, samples, context)
        return lambda node: measured[node.name]
    if criterion == "batchnorm":
        return lambda node: (
            moments[node.output.name].deviation
            if node.output.name in moments
            else np.linalg.norm(_filters(node), axis=1)
        )
    if criterion == "median":
        return lambda node: distances_from_others(_filters(node))
    power = 1 if criterion == "l1" else 2
    return lambda node: np.power(np.abs(_filters(node)), power).sum(axis=1)


def _filters(node: Node) -> Float:
    """The weights of each channel that a layer makes, [channels, n]."""
    w = grouped_weights(node, node.input(1).const)
    return w.reshape(-1, w.shape[-1])


def _makers(channels: Channels) -> dict[str, Node]:
    return {node.name: node for group in channels.groups for node in group.makers}


def _activations(
    channels: Channels, samples: Sequence[Sequence[Array]], context: Context
) -> dict[str, Float]:
    """Mean magnitude of what each layer gives, by channel."""
    walk, makers = Stepper(channels.graph, samples, threads=context.threads, canonical=True), {}
    wanted = _makers(channels)
    while (node := walk.node) is not None:
        outputs = walk.outputs()
        if node.name in wanted:
            rows = [o[0].reshape(-1, o[0].shape[-1]) for o in outputs]
            makers[node.name] = np.mean([np.abs(r).mean(axis=0) for r in rows], axis=0)
        walk.step(outputs)
    return makers


def _gradients(
    channels: Channels, samples: Sequence[Sequence[Array]], context: Context
) -> dict[str, Float]:
    """Squares of activation times gradient, summed over places, by channel."""
    torch = require_torch("the criterion taylor")
    torch.manual_seed(context.seed)
    makers, graph = _makers(channels), channels.graph.copy()
    count = len(graph.outputs)
    graph.outputs = [*_logits(graph), *(n.output for n in graph.nodes if n.name in makers)]
    names = [n.name for n in graph.nodes if n.name in makers]
    graph.remove_dead()
    function = torch_function(graph)
    found = {name: np.zeros(node.output.shape[-1]) for name, node in makers.items()}
    for sample in samples[:_TAYLOR_SAMPLES]:
        inputs = [tensor(torch, array)[None].requires_grad_() for array in sample]
        outputs = function(inputs)
        loss = sum((out * torch.randn(out.shape)).sum() for out in outputs[:count])
        gradients = torch.autograd.grad(loss, outputs[count:], allow_unused=True)
        for name, value, gradient in zip(names, outputs[count:], gradients, strict=True):
            if gradient is not None:
                change = (value * gradient).detach().numpy().astype(np.float64)
                found[name] += np.square(change.reshape(-1, change.shape[-1]).sum(axis=0))
    return found


def _logits(graph: Graph) -> list[Value]:
    """The outputs, before a softmax that makes them."""
    return [
        v.producer.input(0) if v.producer is not None and v.producer.op == "Softmax" else v
        for v in graph.outputs
    ]
