"""Runs a legalized graph and hands out every value it computes, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from edgepack.ir import Array, Graph
from edgepack.quantize.statistics import Statistics
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite


class Observer:
    """A graph legalized for TFLite, run by LiteRT with every activation as an output.

    Names are the graph's own. Works for float and for integer graphs.
    """

    def __init__(self, graph: Graph, *, threads: int = 2) -> None:
        spread = graph.copy()
        computed = [v for v in spread.values() if v.producer is not None]
        spread.outputs = computed
        self.names = [v.name for v in computed]
        self.input_names = [v.name for v in graph.inputs]
        self._runtime = LiteRTRuntime(write_tflite(spread), threads=threads)

    def run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """Every computed value and every input, by name."""
        outputs = self._runtime.run(inputs)
        named = dict(zip(self.input_names, inputs, strict=True))
        named.update(zip(self.names, outputs, strict=True))
        return named


def calibrate(
    graph: Graph, samples: Iterable[Sequence[Array]], *, threads: int = 2
) -> Mapping[str, Statistics]:
    """Statistics of every real value over the samples (one sequence of input arrays each).

    The samples are streamed: memory does not grow with their number.
    """
    observer = Observer(graph, threads=threads)
    table: dict[str, Statistics] = {}
    for inputs in samples:
        for name, array in observer.run(inputs).items():
            if array.dtype.kind == "f":
                table.setdefault(name, Statistics()).update(array)
    return table


def observe_pair(
    first: Graph, second: Graph, samples: Iterable[tuple[Sequence[Array], Sequence[Array]]]
) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """Every value of two graphs for the same samples, side by side (float and quantized, say)."""
    one, two = Observer(first), Observer(second)
    for inputs_first, inputs_second in samples:
        yield one.run(inputs_first), two.run(inputs_second)
