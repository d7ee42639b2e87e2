"""Layer by layer: work, size, and how far the quantized values are from the float ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from edgepack.ir import Array, Graph, Node, node_macs
from edgepack.report import LayerInfo
from edgepack.run.observe import Observer
from edgepack.validation.compare import Noise


def layer_sqnr(
    real: Graph,
    quantized: Graph,
    samples: Iterable[tuple[Sequence[Array], Sequence[Array]]],
    *,
    threads: int = 2,
) -> dict[str, float]:
    """SQNR in dB of every value that both graphs have, by name.

    `samples` gives the inputs of the float graph and those of the quantized one, side by side.
    """
    noises: dict[str, Noise] = {}
    quants = {v.name: v.quant for v in quantized.values()}
    one, two = Observer(real, threads=threads), Observer(quantized, threads=threads)
    for inputs_real, inputs_quantized in samples:
        truth, found = one.run(inputs_real), two.run(inputs_quantized)
        for name in (name for name in truth if name in found):
            quant = quants.get(name)
            other = found[name] if quant is None else quant.dequantize(found[name])
            if truth[name].dtype.kind == "f" and truth[name].shape == other.shape:
                noises.setdefault(name, Noise()).add(truth[name], other)
    figures = {name: noise.sqnr_db for name, noise in noises.items()}
    return {name: db for name, db in figures.items() if db is not None and math.isfinite(db)}


def layer_infos(
    graph: Graph, sqnr: Mapping[str, float], methods: Mapping[str, str]
) -> tuple[LayerInfo, ...]:
    """One entry per node of the exported graph, in order."""
    return tuple(_layer(node, sqnr, methods) for node in graph.nodes)


def _layer(node: Node, sqnr: Mapping[str, float], methods: Mapping[str, str]) -> LayerInfo:
    name = node.output.name
    figure = sqnr.get(name)
    return LayerInfo(
        node=node.name,
        op=node.op,
        macs=node_macs(node),
        weight_bytes=sum(v.nbytes for v in node.present_inputs if v.is_const),
        sqnr_db=None if figure is None else round(float(figure), 2),
        range_method=methods.get(name),
    )
