"""The techniques cluster and ternarize: few values, stored as indices of a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edgepack.calibrate.cluster import cluster_weights
from edgepack.calibrate.stepper import affordable
from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.packing import pack_weights, packable, refusal_on
from edgepack.errors import BadInput
from edgepack.ir import Graph
from edgepack.strict_toml import Table, near

LEAST_BITS: Final = 1
MOST_BITS: Final = 7
_SAMPLES: Final = 96


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """`bits` of index for every layer, `layers` for those named (0 leaves a layer alone)."""

    bits: int
    layers: Mapping[str, int] = field(default_factory=dict)


def read_settings(table: Table) -> ClusterSettings:
    """Settings from a recipe's step. Raises BadInput for bits that no index has."""
    layers = table.table("layers")
    own = {name: _bits(layers, name, 0) for name in layers}
    return ClusterSettings(_bits(table, "bits", LEAST_BITS), own)


def _bits(table: Table, key: str, least: int) -> int:
    bits = table.integer(key)
    if bits > MOST_BITS or bits < least:
        hint = "int8 weights take 8 bits as they are" if bits > MOST_BITS else None
        raise table.wrong(key, f"{LEAST_BITS} to {MOST_BITS} bits of index", hint)
    return bits


@technique("cluster", read=read_settings, stage="stored")
def cluster(graph: Graph, settings: ClusterSettings, context: Context) -> Outcome:
    """Give weights at most 2**bits values, fitted to calibration data, and store indices of these.

    Raises BadInput for layers that the model has not.
    """
    layers = _asked(graph, settings.layers)
    entries = {
        node.name: 1 << bits
        for node, _ in packable(graph)
        if (bits := layers.get(node.name, settings.bits))
    }
    return _carried_out(graph, entries, context)


@technique("ternarize", read=lambda table: table.texts("layers"), stage="stored")
def ternarize(graph: Graph, layers: tuple[str, ...], context: Context) -> Outcome:
    """Leave the layers named three values each, at two bits: 0, one below it and one above it.

    Their place is that of least error, as by the thresholds of Li et al. 2016 (arXiv:1605.04711),
    on the inputs that the layer meets; scales per channel stay. Raises BadInput for layers that
    the model has not.
    """
    asked = _asked(graph, dict.fromkeys(layers, 3))
    return _carried_out(graph, asked, context)


def _carried_out(graph: Graph, entries: Mapping[str, int], context: Context) -> Outcome:
    reason = refusal_on(context.target)
    if reason:
        return Outcome(refused=(Refusal("", reason),))
    few = affordable(graph, context.inputs(), _SAMPLES)
    found = cluster_weights(
        graph, entries, few, means=context.has_data, seed=context.seed, threads=context.threads
    )
    stored = pack_weights(graph, ("lut",), found.values)
    refused = (Refusal(name, reason) for name, reason in found.refused.items())
    changed = tuple(
        f"{line}, {found.values[line.split(': ')[0]]} values" for line in stored.changed
    )
    return Outcome(changed, (*refused, *stored.refused), stored.notes)


def _asked(graph: Graph, layers: Mapping[str, int]) -> Mapping[str, int]:
    known = [node.name for node, _ in packable(graph)]
    for name in layers:
        if name not in known:
            raise BadInput(f"the model has no layer {name} with weights", hint=near(name, known))
    return layers
