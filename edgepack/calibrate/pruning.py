"""Structured pruning: which channels go, and what the rest becomes without them.

In order: the channels that stand and fall together are found (`compress.removal`); each group of
them gets an order in which they go (`compress.selection`); what that does to the model's output is
measured, group by group; a budget is shared out (`compress.allocation`); the channels are really
removed; and the layers are fitted to what is left (`refit`). No labels and no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from edgepack.calibrate.pruning_criteria import CRITERIA, Criterion, paths_of
from edgepack.calibrate.pruning_moments import Inputs, compensate, input_moments
from edgepack.calibrate.pruning_noise import OutputNoise
from edgepack.calibrate.refit import refit
from edgepack.calibrate.standing_in import stand_in, true_weights
from edgepack.calibrate.stepper import affordable
from edgepack.compress.allocation import (
    CostModel,
    CostName,
    Levels,
    allocate,
    cost_model,
    uniform,
)
from edgepack.compress.coupling import Keep
from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.removal import LAYERS, Channels, Group, remove
from edgepack.compress.rounding import channel_multiple, multiple_for
from edgepack.compress.selection import Path
from edgepack.errors import BadInput
from edgepack.ir import Array, Graph
from edgepack.progress import advance
from edgepack.strict_toml import Table

Allocation = Literal["sensitivity", "loss", "uniform"]
MOST_SAMPLES: Final = 256
_MEASURED: Final = (0.125, 0.25, 0.45, 0.65)  # shares of a group's channels, and the most
_LEAST_KEPT: Final = 0.125
_LEVELS: Final = 16  # of a group, at most about so many


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """`ratio` is the share of `cost` (MACs, bytes of weights, energy) to remove.

    `layers` has shares of channels to remove by the layer that makes them (0 keeps all); the rest
    is then shared out over the others. `multiple` is what channel counts are rounded to: by the
    target when None.
    """

    ratio: float | None
    criterion: Criterion = "reconstruction"
    allocation: Allocation = "sensitivity"
    cost: CostName = "macs"
    reconstruct: bool = True
    multiple: int | None = None
    layers: Mapping[str, float] = field(default_factory=dict)


def read_settings(table: Table) -> PruneSettings:
    """Settings from a recipe's step. Raises BadInput for values that are not possible."""
    layers = table.table("layers")
    shares = {name: _share(layers, name) for name in layers}
    return PruneSettings(
        _share(table, "ratio") if "ratio" in table or not shares else None,
        table.text("criterion", "reconstruction", one_of=CRITERIA),  # type: ignore[arg-type]
        table.text("allocation", "sensitivity", one_of=get_args(Allocation)),  # type: ignore[arg-type]
        table.text("cost", "macs", one_of=get_args(CostName)),  # type: ignore[arg-type]
        table.flag("reconstruct", True),
        table.integer("multiple", at_least=1) if "multiple" in table else None,
        shares,
    )


def _share(table: Table, key: str) -> float:
    share = table.number(key)
    if not 0 <= share < 1:
        raise table.wrong(key, "a share from 0 to below 1: a layer keeps some of its channels")
    return share


@technique("prune", read=read_settings)
def prune(graph: Graph, settings: PruneSettings, context: Context) -> Outcome:
    """Remove channels of `graph`, in place. Raises BadInput for what cannot be removed."""
    channels = Channels(graph)
    fixed = _asked(channels, settings, context)
    if not settings.ratio and not any(fixed.values()):
        return Outcome(notes=("nothing was to be removed",))
    if not channels.groups:
        raise BadInput(
            "no channels of this model can be removed",
            hint="; ".join(f"{r.layer}: {r.reason}" for r in _refusals(channels)[:3]) or None,
        )
    return _Pruning(graph, channels, settings, context).run(fixed)


class _Pruning:
    """The state of one run."""

    def __init__(
        self, graph: Graph, channels: Channels, settings: PruneSettings, context: Context
    ) -> None:
        self._graph, self._channels, self._settings = graph, channels, settings
        self._context = context
        self._work, self._corrections = stand_in(graph, context)
        given = context.inputs()
        self._samples: Sequence[Sequence[Array]] = affordable(self._work, given, MOST_SAMPLES)

    def run(self, fixed: Mapping[int, int]) -> Outcome:
        """Choose, remove and fit; `fixed` has how many channels some groups lose."""
        context, settings, groups = self._context, self._settings, self._channels.groups
        work = Channels(self._work)  # labels are those of the graph: it is a copy
        readers = {node.name for group in groups for node in group.readers}
        seen = input_moments(
            self._work, self._samples, readers, seed=context.seed, threads=context.threads
        )
        paths = paths_of(settings.criterion, work, seen, self._samples, context)
        lost = self._allocate(work, paths, seen, fixed)
        gone = {
            group.labels[i]
            for group, path, count in zip(groups, paths, lost, strict=True)
            for i in path.gone(count)
        }
        pruned = self._work.copy()
        remove(pruned, work, gone)
        keep = Keep(work.coupling, gone)
        if settings.reconstruct:
            compensate(pruned, work, gone, seen)
            refit(pruned, work, keep, self._samples, seed=context.seed, threads=context.threads)
        remove(self._graph, self._channels, gone)
        true_weights(self._graph, pruned, self._corrections, keep, work)
        return Outcome(
            _changes(groups, lost),
            _refusals(self._channels),
            _notes(settings, self._samples, context),
        )

    def _allocate(
        self,
        work: Channels,
        paths: Sequence[Path],
        seen: Mapping[str, Inputs],
        fixed: Mapping[int, int],
    ) -> list[int]:
        settings, groups = self._settings, work.groups
        if settings.ratio is None:
            return [fixed.get(i, 0) for i in range(len(groups))]
        liked = settings.multiple or channel_multiple(self._context.target)
        cost = cost_model(work, settings.cost)
        choices = [
            (fixed[i],) if i in fixed else _choices(len(group.labels), liked)
            for i, group in enumerate(groups)
        ]
        budget = cost(np.ones(len(groups))) * (1 - settings.ratio)
        _refuse_unreachable(groups, choices, cost, budget, settings)
        noise = self._noise(work, paths, seen, choices)
        levels = [
            Levels(len(g.labels), c, n) for g, c, n in zip(groups, choices, noise, strict=True)
        ]
        share = uniform if settings.allocation == "uniform" else allocate
        lost = share(levels, cost, budget)
        assert lost is not None  # it was seen that all at their narrowest keep the budget
        return lost

    def _noise(
        self,
        work: Channels,
        paths: Sequence[Path],
        seen: Mapping[str, Inputs],
        choices: Sequence[tuple[int, ...]],
    ) -> list[tuple[float, ...]]:
        """What each choice of each group does to the output: measured, or by the path alone."""
        if self._settings.allocation != "sensitivity":
            return [tuple(float(p.loss[n]) for n in c) for p, c in zip(paths, choices, strict=True)]
        meter = OutputNoise(
            self._work, self._samples[1::2] or self._samples, threads=self._context.threads
        )
        found = []
        for done, (group, path, counts) in enumerate(zip(work.groups, paths, choices, strict=True)):
            found.append(self._measured(work, group, path, seen, counts, meter))
            advance(done + 1, len(paths), "measuring what channels are worth")
        return found

    def _measured(
        self, work: Channels, group: Group, path: Path, seen: Mapping[str, Inputs],
        counts: tuple[int, ...], meter: OutputNoise,
    ) -> tuple[float, ...]:  # fmt: skip
        """Noise at each count: measured at a few, between them in proportion to the path's loss."""
        if len(counts) == 1:
            return (0.0,)
        size = len(group.labels)
        near = {min(counts, key=lambda n: abs(n - share * size)) for share in _MEASURED}
        tried = sorted({*near, max(counts)})
        losses, noises = [0.0], [0.0]
        for count in [n for n in tried if n]:
            pruned = self._work.copy()
            gone = {group.labels[i] for i in path.gone(count)}
            remove(pruned, work, gone)
            if self._settings.reconstruct:
                compensate(pruned, work, gone, seen)
            losses.append(max(float(path.loss[count]), losses[-1] + 1e-12))
            noises.append(max(meter.of(pruned), noises[-1]))
        return tuple(float(np.interp(path.loss[n], losses, noises)) for n in counts)


def _refuse_unreachable(
    groups: Sequence[Group],
    choices: Sequence[tuple[int, ...]],
    cost: CostModel,
    budget: float,
    settings: PruneSettings,
) -> None:
    """Raise BadInput when all groups at their narrowest cost more than the budget."""
    left = [len(g.labels) - max(c) for g, c in zip(groups, choices, strict=True)]
    shares = [n / len(g.labels) for n, g in zip(left, groups, strict=True)]
    most = 1 - cost(np.array(shares)) / cost(np.ones(len(groups)))
    if cost(np.array(shares)) > budget:
        narrow = int(np.argmin(left))
        raise BadInput(
            f"prune: a share of {settings.ratio:g} of the {settings.cost} cannot be removed: "
            f"{groups[narrow].name}, the narrowest layer, would be left no channels",
            hint=f"{most:.1%} can be, with {left[narrow]} of its channels left",
        )


def _choices(size: int, liked: int) -> tuple[int, ...]:
    """How many of `size` channels may go, so that what is left is a multiple the kernels like."""
    multiple = multiple_for(size, liked)
    least = max(multiple, int(np.ceil(size * _LEAST_KEPT / multiple)) * multiple)
    every = max(1, (size - least) // multiple // _LEVELS) * multiple
    return (0, *range(size % multiple or every, size - least + 1, every))


def _asked(channels: Channels, settings: PruneSettings, context: Context) -> dict[int, int]:
    """How many channels go of the groups that were named. Raises BadInput for wrong names."""
    liked = settings.multiple or channel_multiple(context.target)
    layers = {node.name: node for node in channels.graph.nodes_of(*LAYERS)}
    found: dict[int, int] = {}
    for name, share in settings.layers.items():
        if name not in layers:
            raise BadInput(f"prune: the model has no layer {name}", hint=_names(layers))
        group = channels.group_of(name)
        if group is None and share:
            raise BadInput(
                f"prune: channels of {name} cannot be removed: {channels.why_not(layers[name])}"
            )
        if group is not None:
            size = len(group.labels)
            multiple = multiple_for(size, liked)
            kept = round(size * (1 - share) / multiple) * multiple if share else size
            if not kept:
                raise BadInput(
                    f"prune: a ratio of {share:g} would leave {name} none of its {size} channels",
                    hint="choose a smaller one",
                )
            found[channels.groups.index(group)] = size - kept
    return found


def _names(layers: Mapping[str, object]) -> str:
    return f"its layers: {', '.join(list(layers)[:12])}{' …' if len(layers) > 12 else ''}"


def _changes(groups: Sequence[Group], lost: Sequence[int]) -> tuple[str, ...]:
    return tuple(
        f"{group.name}: {len(group.labels)} to {len(group.labels) - count} channels"
        + (f" (with {len(group.makers) - 1} other layers)" if len(group.makers) > 1 else "")
        for group, count in zip(groups, lost, strict=True)
        if count
    )


def _refusals(channels: Channels) -> tuple[Refusal, ...]:
    """Layers that make channels of which none can go, and why."""
    free = {node for group in channels.groups for node in group.makers}
    return tuple(
        Refusal(node.name, channels.why_not(node))
        for node in channels.graph.nodes_of(*LAYERS)
        if node.op != "DepthwiseConv2d" and node not in free
    )


def _notes(
    settings: PruneSettings, samples: Sequence[Sequence[Array]], context: Context
) -> tuple[str, ...]:
    basis = "calibration samples" if context.has_data else "synthetic inputs"
    text = f"channels chosen by {settings.criterion} on {len(samples)} {basis}"
    return (text + (", layers fitted to what is left" if settings.reconstruct else ""),)
