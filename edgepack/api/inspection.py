"""What is in a model: operators, work, size, layer by layer."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.api.assess import compute_of, source_info
from edgepack.api.lower import canonical, is_quantized
from edgepack.api.options import ExportOptions
from edgepack.api.sensitivity import LayerSensitivity
from edgepack.api.sensitivity import sensitivity as measured
from edgepack.api.source import read_source
from edgepack.devices import Target
from edgepack.ir import Value, node_macs
from edgepack.report import Compute, SourceInfo
from edgepack.report.figures import in_bytes
from edgepack.report.notebook import html_table


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One node: its output's shape, multiply-accumulates and bytes of constants."""

    node: str
    op: str
    shape: tuple[int, ...]
    dtype: str
    macs: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model after simplification, in the layout that devices run (NHWC).

    `sensitivity` has the most sensitive layers first; None unless it was asked for.
    """

    source: SourceInfo
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    quantized: bool
    ops: Mapping[str, int]
    compute: Compute
    layers: tuple[Layer, ...]
    sensitivity: tuple[LayerSensitivity, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def _repr_html_(self) -> str:
        """The layers as a table, for notebooks."""
        heads = ("layer", "operator", "output", "MACs", "weights")
        rows = [
            (
                la.node,
                la.op,
                f"{la.dtype}{list(la.shape)}",
                f"{la.macs:,}",
                in_bytes(la.weight_bytes),
            )
            for la in self.layers
        ]
        return html_table(heads, rows)


def inspect(
    model: Any,
    *,
    sensitivity: bool = False,
    target: str | Path | Target | None = None,
    **options: Any,
) -> Inspection:
    """Read `model`, simplify it and tell what is in it.

    `sensitivity` measures what quantizing each layer alone does to the output, with the kernels of
    `target` (LiteRT's without it), on `calibration` data or synthetic inputs. Options:
    input_layout, input_shape, weights, trust; and for `sensitivity` calibration, samples,
    preprocess, input_range, per_tensor and threads. Raises what reading raises.
    """
    wanted = ExportOptions.of("inspect", options)
    graph = canonical(read_source(model, wanted), wanted.input_layout)
    layers = tuple(
        Layer(
            node.name,
            node.op,
            node.output.shape,
            str(node.output.dtype),
            node_macs(node),
            node.constant_bytes,
        )
        for node in graph.nodes
    )
    return Inspection(
        source=source_info(graph),
        inputs=tuple(map(_tensor, graph.inputs)),
        outputs=tuple(map(_tensor, graph.outputs)),
        quantized=is_quantized(graph),
        ops=dict(Counter(layer.op for layer in layers).most_common()),
        compute=compute_of(graph),
        layers=layers,
        sensitivity=measured(graph, target, wanted) if sensitivity else None,
    )


def _tensor(value: Value) -> Tensor:
    return Tensor(value.name, value.shape, str(value.dtype))
