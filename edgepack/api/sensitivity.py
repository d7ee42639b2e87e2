"""What quantizing each layer alone does to a model, layer by layer, and what that calls for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgepack.api.diagnosis import alone_db, diagnosed
from edgepack.api.exporting import observed_facts
from edgepack.api.lower import is_quantized, lower
from edgepack.api.options import ExportOptions
from edgepack.devices import Target
from edgepack.errors import BadInput
from edgepack.ir import Graph
from edgepack.profiles import load_target
from edgepack.quantize.mixed import BYTE
from edgepack.validation.layers import layer_infos

DEFAULT_TARGET: Final = "raspberry-pi-4"  # LiteRT has nearly every kernel in every type


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """One node: `alone_db` is the SQNR of the model's output, before any final softmax, with
    nothing else quantized, by precision (int8, w4a8, int16x8; None where no kernel takes it).

    Of its own output: `range` (lowest, highest), `saturation` (the share that int8 clips, 0 to 1)
    and `dead_channels` (that never change). `scheme` is what mixed precision takes, `reason` why,
    `remedy` what would help; that only the worst three have.
    """  # noqa: D205

    node: str
    op: str
    alone_db: dict[str, float | None]
    range: tuple[float, float] | None
    saturation: float | None
    dead_channels: int | None
    scheme: str | None
    reason: str | None
    remedy: str | None


def sensitivity(
    graph: Graph, target: str | Path | Target | None, options: ExportOptions
) -> tuple[LayerSensitivity, ...]:
    """The layers of a canonical float graph, the most sensitive first.

    Raises BadInput for a model that is quantized already, and what lowering raises.
    """
    if is_quantized(graph):
        raise BadInput(
            "the model is quantized already: there is no float model to compare with",
            hint="give the float model",
        )
    profile = target if isinstance(target, Target) else load_target(target or DEFAULT_TARGET)
    lowered = lower(graph, profile, dataclasses.replace(options, quantize="mixed"))
    noise, nodes = lowered.noise, {node.name: node for node in lowered.graph.nodes}
    assert noise is not None  # mixed precision has measured it
    facts = observed_facts(lowered, options)
    layers = diagnosed(layer_infos(lowered.graph, facts, lowered.methods), lowered, profile)
    found = [
        LayerSensitivity(
            info.node, info.op, alone_db(noise, nodes[info.node]), info.range, info.saturation,
            info.dead_channels, info.scheme, info.reason, info.remedy,
        )
        for info in layers
        if noise.alone(nodes[info.node], BYTE) is not None
    ]  # fmt: skip
    return tuple(sorted(found, key=_alone))


def _alone(layer: LayerSensitivity) -> float:
    figure = layer.alone_db["int8"]
    return float("inf") if figure is None else figure
