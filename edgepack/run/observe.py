"""Runs a legalized graph and hands out every value it computes, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Array, Graph
from edgepack.run.host import host_runtime
from edgepack.run.litert import LiteRTRuntime


class Observer:
    """A graph legalized for TFLite, run with every activation as an output.

    Names are the graph's own. Works for float and for integer graphs.
    """

    def __init__(self, graph: Graph, *, threads: int = 2) -> None:
        spread = graph.copy()
        computed = [v for v in spread.values() if v.producer is not None]
        spread.outputs = computed
        self.names = [v.name for v in computed]
        self.input_names = [v.name for v in graph.inputs]
        self._runtime = host_runtime(spread, threads=threads)

    def run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """Every computed value and every input, by name."""
        return self._named(inputs, self._runtime.run(inputs))

    def look(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """The same without copies; drop them before the next run (`LiteRTRuntime.run_views`)."""
        runtime = self._runtime
        look = runtime.run_views if isinstance(runtime, LiteRTRuntime) else runtime.run
        return self._named(inputs, look(inputs))

    def _named(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> dict[str, Array]:
        named = dict(zip(self.input_names, inputs, strict=True))
        named.update(zip(self.names, outputs, strict=True))
        return named
