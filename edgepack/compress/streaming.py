"""Models that go through time, a few frames at a time: only what is new is computed.

A stack of convolutions along time, run on a window that moves by a frame, makes nearly all of its
numbers again. The streaming model takes the new frames alone. What layers still need of the past
comes as inputs and goes as outputs, which the caller feeds back:

    past, new -> Concat -> layer         Concat -> Slice -> what is past in the next call

It is made of the graph as it is written, integers and all: weights and scales are those of the
whole model, calibrated on whole windows, and the past has the scale of what it is the past of. So
frame after frame gives the bits that the whole model gives on the window that ends there. (The
layers' caches of Rybakov et al. 2020, arXiv:2005.06720, without retraining.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgepack.compress.frame import Context, Outcome, technique
from edgepack.compress.time_rules import Frames, Reading, Stuck, reading
from edgepack.errors import BadInput
from edgepack.ir import Graph, Node, Value, node_macs
from edgepack.ir.graph import Stream
from edgepack.ir.ops import infer
from edgepack.strict_toml import Table

_PAST: Final = "/past"


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`frames` new ones in each call; `axis` of time in the source's layout, None: found out."""

    frames: int = 1
    axis: int | None = None


def read_settings(table: Table) -> StreamSettings:
    """Settings from a recipe's step. Raises BadInput for what they cannot be."""
    axis = table.integer("axis") if "axis" in table else None
    return StreamSettings(table.integer("frames", 1, at_least=1), axis)


@technique("stream", read=read_settings, stage="stored")
def stream(graph: Graph, settings: StreamSettings, context: Context) -> Outcome:
    """Let `graph` compute a few new frames at each call, in place.

    Raises BadInput naming the layer that cannot go along with time.
    """
    axis, plan = _chosen(graph, settings)
    window, before = graph.inputs[0].shape[axis], sum(map(node_macs, graph.nodes))
    kept = _Rewrite(graph, plan, axis).run()
    after = sum(map(node_macs, graph.nodes))
    start = "zeros" if not any(v.quant for v in kept) else "their zero points, real zeros"
    return Outcome(
        tuple(_kept_line(value, plan) for value in kept),
        notes=(
            f"each call takes {settings.frames} new of {window} frames and does "
            f"{after:,} of {before:,} MACs",
            f"the last {len(kept)} outputs are the last {len(kept)} inputs of the next call, which "
            f"begin as {start}",
            *_meanings(plan, window // settings.frames),
        ),
    )


def _kept_line(value: Value, plan: _Plan) -> str:
    name, bits = value.name.removesuffix(_PAST), value.nbytes
    return f"{name}: {plan.past_of(name)} past frames are kept, {bits:,} bytes"


def _meanings(plan: _Plan, calls: int) -> Iterator[str]:
    """When outputs are those of the whole model."""
    if any(frames.padded for frames in plan.time.values()) or plan.pads:
        yield (
            f"after {calls} calls from the beginning on, outputs are those of the whole "
            "model on these frames; later ones have true past where the model has padding"
        )
    else:
        yield (
            f"from call {calls} on, outputs are those of the whole model on the window "
            "that ends with the newest frame"
        )


# -- the plan --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Plan:
    """What every node reads, the frames of every value that has any, how many are kept of it."""

    readings: dict[Node, Reading]
    time: dict[Value, Frames]
    past: dict[Value, int]
    pads: bool = False

    def past_of(self, name: str) -> int:
        """Frames that are kept of the value of this name."""
        return next(n for v, n in self.past.items() if v.name == name)


def _chosen(graph: Graph, settings: StreamSettings) -> tuple[int, _Plan]:
    """The dimension of time and the plan; of several dimensions that which saves most."""
    if len(graph.inputs) != 1:
        names = ", ".join(v.name for v in graph.inputs)
        raise BadInput(f"streaming is for models of one input; this one has {names}")
    (x,) = graph.inputs
    found: list[tuple[int, int, _Plan]] = []
    reasons: list[str] = []
    axes = list(_axes(graph, x, settings))
    for axis in axes:
        try:
            plan = _plan(graph, x, axis, settings.frames)
        except _StuckAt as stuck:
            reasons.append(f"along dimension {axis} of {list(x.shape)}: {stuck}")
            continue
        trial = graph.copy()
        _Rewrite(trial, _plan(trial, trial.inputs[0], axis, settings.frames), axis).run()
        found.append((sum(map(node_macs, trial.nodes)), axis, plan))
    if not found:
        raise BadInput(
            f"the model cannot be computed frame by frame, {'; '.join(reasons)}",
            hint="axis = N names the dimension of time; layers may only look back",
        )
    macs, axis, plan = min(found, key=lambda entry: entry[:2])
    if macs >= sum(map(node_macs, graph.nodes)):
        raise BadInput("streaming saves nothing: no layer's results of earlier calls are of use")
    return axis, plan


def _axes(graph: Graph, x: Value, settings: StreamSettings) -> Iterator[int]:
    """The dimensions that may be time, in the graph's layout."""
    perm = graph.source.input_perms.get(x.name, tuple(range(x.rank)))
    asked = settings.axis
    if asked is not None and not 0 < asked < x.rank:
        raise BadInput(f"stream.axis: {x.name} has no dimension {asked} that could be time")
    axes = [perm.index(asked)] if asked is not None else range(1, x.rank)
    fitting = [a for a in axes if x.shape[a] > settings.frames]
    fitting = [a for a in fitting if x.shape[a] % settings.frames == 0]
    if not fitting:
        sizes = ", ".join(str(x.shape[a]) for a in axes)
        raise BadInput(
            f"stream.frames: {settings.frames} is not a part of the window ({sizes} frames)"
        )
    yield from fitting


class _StuckAt(Exception):
    """A layer that cannot go along with time; the text names it."""


def _plan(graph: Graph, x: Value, axis: int, fresh: int) -> _Plan:
    calls = x.shape[axis] // fresh
    plan = _Plan({}, {x: Frames(axis, x.shape[axis], fresh, calls)}, {})
    for node in graph.nodes:
        timed = [v for v in node.present_inputs if v in plan.time]
        if not timed:
            continue
        try:
            found = reading(node, plan.time)
        except Stuck as stuck:
            raise _StuckAt(f"{node.op} {node.name}: {stuck}") from None
        plan.readings[node] = found
        if "pad" in found.changes and found.changes["pad"] != node.attrs["pad"]:
            plan.pads = True
        for value in timed:
            need = max(0, found.take - plan.time[value].fresh)
            plan.past[value] = max(plan.past.get(value, 0), need)
        if found.gives is not None:
            plan.time.update((out, _frames_of(out, found.gives)) for out in node.outputs)
    return plan


def _frames_of(out: Value, gives: Frames) -> Frames:
    return replace(gives, axis=gives.axis % out.rank)


# -- the rewrite -----------------------------------------------------------------------------------


class _Rewrite:
    """Makes the graph anew; `_new` has what stands for an old value: its fresh frames, or all."""

    def __init__(self, graph: Graph, plan: _Plan, axis: int) -> None:
        self._graph, self._plan, self._axis = graph, plan, axis
        self._new: dict[Value, Value] = {}
        self._joined: dict[Value, Value] = {}
        self._states: list[tuple[Value, Value]] = []

    def run(self) -> list[Value]:
        """Change the graph; return the inputs that carry the past."""
        graph, old, outputs = self._graph, self._graph.nodes, self._graph.outputs
        (x,) = graph.inputs
        graph.inputs = [self._fresh(x)]
        for node in old:
            self._remake(node)
        graph.outputs = [self._new.get(v, v) for v in outputs]
        for node in reversed(old):
            graph.remove(node)
        graph.inputs += [state for state, _ in self._states]
        graph.outputs += [state for _, state in self._states]
        time = self._plan.time
        graph.source.stream = Stream(
            axis=self._axis,
            window=x.shape[self._axis],
            states=len(self._states),
            results=tuple(time[v].axis if v in time else None for v in outputs),
        )
        return [state for state, _ in self._states]

    def _fresh(self, old: Value) -> Value:
        """A twin of `old` that has its fresh frames only."""
        frames = self._plan.time[old]
        return self._twin(old, old.name, _resized(old.shape, frames.axis, frames.fresh))

    def _twin(self, old: Value, name: str, shape: tuple[int, ...]) -> Value:
        new = Value(name, shape, old.dtype, old.quant)
        self._new.setdefault(old, new)
        return new

    def _remake(self, node: Node) -> None:
        found = self._plan.readings.get(node)
        changes = {} if found is None else dict(found.changes)
        if node.op == "Pad" and found is not None and not any(map(any, _pads(node, found))):
            self._new[node.output] = self._new[node.input(0)]
            return
        take = 0 if found is None else found.take
        inputs = [None if v is None else self._read(v, take) for v in node.inputs]
        attrs = {**node.attrs, **changes}
        specs = infer(node.op, inputs, attrs)
        pairs = zip(node.outputs, specs, strict=True)
        outputs = [self._twin(old, old.name, shape) for old, (shape, _) in pairs]
        self._graph.add_node(Node(node.op, inputs, outputs, attrs, node.name))

    def _read(self, value: Value, take: int) -> Value:
        """The last `take` frames of what stands for `value`, or all there is without time."""
        new = self._new.get(value, value)
        frames = self._plan.time.get(value)
        if frames is None or take == frames.fresh:
            return new
        if take > frames.fresh:
            new = self._with_past(value, frames)
        return self._newest(new, frames.axis, take)

    def _with_past(self, value: Value, frames: Frames) -> Value:
        """What is kept of the past, then the fresh frames."""
        if value not in self._joined:
            graph, new, past = self._graph, self._new[value], self._plan.past[value]
            shape = _resized(new.shape, frames.axis, past)
            state = Value(graph.fresh(value.name + _PAST), shape, new.dtype, new.quant)
            joined = self._add(
                "Concat", [state, new], {"axis": frames.axis}, value.name + "/joined"
            )
            self._joined[value] = joined
            kept = self._newest(joined, frames.axis, past, f"{state.name}_next")
            self._states.append((state, kept))
        return self._joined[value]

    def _newest(self, value: Value, axis: int, count: int, name: str = "") -> Value:
        if value.shape[axis] == count:
            return value
        begin = tuple(value.shape[axis] - count if i == axis else 0 for i in range(value.rank))
        size = _resized(value.shape, axis, count)
        attrs = {"begin": begin, "size": size, "stride": (1,) * value.rank}
        return self._add("Slice", [value], attrs, name or f"{value.name}/newest")

    def _add(
        self, op: str, inputs: Iterable[Value], attrs: Mapping[str, object], name: str
    ) -> Value:
        made = list(inputs)
        value = self._graph.add(op, made, attrs, name=name)
        value.dtype, value.quant = made[0].dtype, made[0].quant
        return value


def _pads(node: Node, found: Reading) -> tuple[tuple[int, int], ...]:
    pads: tuple[tuple[int, int], ...] = {**node.attrs, **found.changes}["pads"]
    return pads


def _resized(shape: tuple[int, ...], axis: int, count: int) -> tuple[int, ...]:
    return (*shape[:axis], count, *shape[axis + 1 :])
