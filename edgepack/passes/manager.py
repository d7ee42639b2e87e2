"""Runs passes: sorts, removes dead nodes and checks the graph after each, and names the culprit."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

from edgepack.errors import InternalError
from edgepack.ir import Graph
from edgepack.ir.check import check

Pass = Callable[[Graph], int]

_log = logging.getLogger("edgepack.passes")
_MAX_ROUNDS = 20


def run_pass(graph: Graph, step: Pass) -> int:
    """Run one pass; leave the graph sorted, checked and without dead nodes; return its rewrites."""
    count = step(graph)
    if count:
        graph.sort()  # dead nodes go from the end: readers before what they read
        graph.remove_dead()
        check(graph, after=_name(step))
        _log.debug("%s: %d", _name(step), count)
    return count


def run_passes(graph: Graph, steps: Sequence[Pass]) -> int:
    """Run each once, in order; return the sum of rewrites."""
    return sum(run_pass(graph, step) for step in steps)


def run_to_fixpoint(graph: Graph, steps: Sequence[Pass]) -> int:
    """Run the whole list again until none rewrites anything; return the sum of rewrites.

    Raises InternalError when two passes keep undoing one another.
    """
    total = 0
    for _ in range(_MAX_ROUNDS):
        counts = [run_pass(graph, step) for step in steps]
        if not any(counts):
            return total
        total += sum(counts)
    busy = ", ".join(_name(s) for s, count in zip(steps, counts, strict=True) if count)
    raise InternalError(f"passes do not come to rest: {busy}")


def _name(step: Pass) -> str:
    function = step.func if isinstance(step, functools.partial) else step
    return getattr(function, "__name__", repr(function))
