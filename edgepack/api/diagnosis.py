"""Why each layer is as it is, which ones hurt the output the most, and what would help them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from edgepack.api.assess import why_float
from edgepack.api.layers import runs_float
from edgepack.api.lowered import Lowered
from edgepack.api.schemes import has_kernel
from edgepack.devices import Target
from edgepack.ir import DType, Node, row
from edgepack.quantize.mixed import BYTE, NARROW, WIDE, NoiseTable, sqnr_of
from edgepack.quantize.options import INTEGER_SCHEMES, LAYER_PRECISIONS, METHODS
from edgepack.quantize.plan import is_quantizable
from edgepack.report import LayerInfo

WORST: Final = 3  # layers that get a remedy
_GOOD_DB: Final = 30.0  # nothing to gain
_MUCH_CLIPPED: Final = 0.01
_CLIPPING: Final = frozenset(METHODS) - {"auto", "min-max"}


def diagnosed(
    infos: Sequence[LayerInfo], lowered: Lowered, target: Target
) -> tuple[LayerInfo, ...]:
    """The layers with the reasons for what they compute in, the worst with a remedy."""
    if lowered.quantization.scheme not in INTEGER_SCHEMES:
        return tuple(infos)
    nodes = {node.name: node for node in lowered.graph.nodes}
    reasoned = [
        dataclasses.replace(
            info,
            reason=_reason(info, nodes[info.node], lowered, target),
            alone_db=_alone_as_chosen(info, nodes[info.node], lowered),
        )
        for info in infos
    ]
    helped = {
        info.node: remedy(info, nodes[info.node], lowered, target) for info in worst_of(reasoned)
    }
    return tuple(
        dataclasses.replace(info, remedy=helped[info.node]) if info.node in helped else info
        for info in reasoned
    )


def worst_of(infos: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The few that hurt the most, the worst first: alone where that was measured."""
    alone = any(info.alone_db is not None for info in infos)
    known = [
        (figure, index)
        for index, info in enumerate(infos)
        if info.scheme is not None
        and (figure := info.alone_db if alone else info.sqnr_db) is not None
    ]
    return [infos[index] for _, index in sorted(known)[:WORST]]


def _alone_as_chosen(info: LayerInfo, node: Node, lowered: Lowered) -> float | None:
    if lowered.noise is None or info.scheme is None or info.scheme not in LAYER_PRECISIONS:
        return None
    noise = lowered.noise.alone(node, LAYER_PRECISIONS[info.scheme])
    return round(sqnr_of(noise), 2) if noise else None


def _reason(info: LayerInfo, node: Node, lowered: Lowered, target: Target) -> str | None:
    scheme = lowered.quantization.scheme
    if info.scheme is None:
        return None
    if info.node in lowered.reasons:
        return lowered.reasons[info.node]
    if info.scheme == "float":
        return why_float(target, node, scheme)
    if scheme == "w4a8" and info.scheme == "int8" and row(node.op).quant.weight is not None:
        return f"no kernel with 4-bit weights for {node.op} in {target.runtime.name}"
    if scheme == "mixed":
        return "8 bits are enough"
    return f"--quantize {scheme}"


def remedy(info: LayerInfo, node: Node, lowered: Lowered, target: Target) -> str:
    """What to ask for so that a layer costs the output less."""
    noise = lowered.noise
    parts = {} if noise is None else noise_parts(noise, node)
    figure = info.sqnr_db if info.alone_db is None else info.alone_db
    if figure is not None and figure >= _GOOD_DB:
        return "none needed"
    if info.range_method in _CLIPPING and (info.saturation or 0.0) >= _MUCH_CLIPPED:
        return f"--range-method min-max: {100 * (info.saturation or 0.0):.1f}% of it is clipped"
    if info.scheme == "w4a8":
        return f"--layer {node.name}=int8"
    if info.scheme == "float":
        return "none here: the noise comes from the layers before it"
    return _more_bits(node, lowered, target, parts)


def _more_bits(node: Node, lowered: Lowered, target: Target, parts: Mapping[str, float]) -> str:
    weights_matter = parts.get("weights", 0.0) > parts.get("values", 0.0)
    real = _node_of(lowered, node.name)
    float_runs = real is not None and runs_float(target)(real)
    if weights_matter:
        if lowered.quantization.per_channel is False:
            return "leave out --per-tensor"
        if float_runs:
            return f"--layer {node.name}=float"
    if lowered.quantization.scheme == "mixed":
        return "--min-sqnr DB: more bits where the output needs them"
    wide = real is not None and is_quantizable(real, WIDE) and has_kernel(target)(real, WIDE)
    if wide or float_runs:
        return "--quantize mixed --min-sqnr DB: more bits where the output needs them"
    return "more --calibration samples, such as the device will meet"


def _node_of(lowered: Lowered, name: str) -> Node | None:
    """The float node, of which kernels are asked."""
    nodes = () if lowered.real is None else lowered.real.nodes
    return next((node for node in nodes if node.name == name), None)


def noise_parts(noise: NoiseTable, node: Node) -> dict[str, float]:
    """Noise in int8 from a node's weights and from the values it makes; what was measured."""
    parts: dict[str, float] = {}
    weights = noise.weights.get(node.name, {})
    if DType.INT8 in weights:
        parts["weights"] = weights[DType.INT8]
    values = [noise.values[v.name] for v in node.outputs if v.name in noise.values]
    if values:
        parts["values"] = sum(found.get(DType.INT8, 0.0) for found in values)
    return parts


def alone_db(noise: NoiseTable, node: Node) -> dict[str, float | None]:
    """SQNR of the output with this node alone quantized, by precision; None where not measured."""
    named = {"int8": BYTE, "w4a8": NARROW, "int16x8": WIDE}
    weights = noise.weights.get(node.name)
    found: dict[str, float | None] = {}
    for name, precision in named.items():
        power = noise.alone(node, precision)
        has = weights is None or precision.weights in weights
        if name == "w4a8" and weights is None:
            has = False
        found[name] = None if power is None or not has else round(sqnr_of(power), 2)
    return found
