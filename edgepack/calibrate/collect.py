"""Statistics of every value of a float graph, from samples that stream through it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from edgepack.errors import BadModel
from edgepack.ir import Array, Graph, row
from edgepack.quantize.recurrent import cell_name, cell_states, is_plain
from edgepack.quantize.statistics import Statistics
from edgepack.run.observe import Observer

_LARGEST: Final = 1e30  # beyond it, sums and squares of float32 overflow


def collect(
    graph: Graph,
    samples: Iterable[Sequence[Array]],
    *,
    threads: int = 2,
    channels: Collection[str] = (),
) -> Mapping[str, Statistics]:
    """Statistics of every real value over the samples (one sequence of input arrays each).

    Mean arrays are kept of what layers with weights read: bias correction wants them; figures of
    each channel are kept of the values named in `channels`. The samples
    are streamed: memory does not grow with their number. Raises BadModel for values that leave the
    range of numbers: no scale holds them.
    """
    observer = Observer(graph, threads=threads)
    weighted = {n.input(0).name for n in graph.nodes if row(n.op).quant.weight is not None}
    recurrent = [n for n in graph.nodes_of("Lstm") if is_plain(n) and not n.input(0).is_const]
    table: dict[str, Statistics] = {}
    for inputs in samples:
        arrays = observer.look(inputs)
        for node in recurrent:
            x, y = arrays[node.input(0).name], arrays[node.output.name]
            arrays[cell_name(node)] = cell_states(node, x, y)
            del x, y
        for name in list(arrays):  # each is dropped once seen: they are views
            array = arrays.pop(name)
            if array.dtype.kind == "f":
                refuse_overflow(name, array)
                seen = table.setdefault(name, Statistics())
                seen.update(array, keep_mean=name in weighted, keep_channels=name in channels)
            del array
    return table


def refuse_overflow(name: str, array: Array) -> None:
    """Raise BadModel when an array holds what no scale can."""
    if not array.size:
        return
    low, high = array.min(), array.max()
    if not (low > -_LARGEST and high < _LARGEST):  # NaN is neither
        raise BadModel(
            f"the value {name} becomes NaN, infinite or beyond {_LARGEST:g}: no scale holds it",
            hint="the weights may be damaged; masks can use -1e4 in the place of -infinity",
        )
