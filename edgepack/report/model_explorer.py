"""Overlays for Google's Model Explorer: figures shown on, and colours of, a TFLite file's nodes.

Its custom node data: a JSON object by graph, whose `results` are keyed by the names of the nodes'
output tensors. One file holds one figure per node, hence two files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgepack.report.model import LayerInfo

GRAPH: Final = "main"  # what the writer calls the file's one subgraph
# The worst SQNR of a model is red, the best green.
_GRADIENT: Final = (
    {"stop": 0, "bgColor": "#d7301f", "textColor": "#ffffff"},
    {"stop": 0.5, "bgColor": "#fdd49e", "textColor": "#000000"},
    {"stop": 1, "bgColor": "#a6d96a", "textColor": "#000000"},
)
_BITS: Final = {
    "w4a8": 4, "hybrid4": 4, "int8": 8, "uint8": 8, "hybrid": 8, "int16x8": 16, "float": 32,
}  # fmt: skip
# Up to 4 bits, up to 8, up to 16, and real numbers.
_THRESHOLDS: Final = (
    {"value": 4, "bgColor": "#c6dbef"},
    {"value": 8, "bgColor": "#a6d96a"},
    {"value": 16, "bgColor": "#fdd49e"},
    {"value": 32, "bgColor": "#d7301f", "textColor": "#ffffff"},
)


def overlays(layers: Sequence[LayerInfo], tensors: Mapping[str, str]) -> dict[str, str]:
    """The overlays' JSON by file name; `tensors` has the output tensor of each node by its name.

    SQNR in dB (of the model's output with the layer alone quantized where that is known, else of
    the layer's output), and bits: of weights where they are the narrower, else of activations.
    """
    sqnr = {
        tensors[layer.node]: figure
        for layer in layers
        if (figure := layer.sqnr_db if layer.alone_db is None else layer.alone_db) is not None
    }
    bits = {tensors[layer.node]: _BITS[layer.scheme] for layer in layers if layer.scheme in _BITS}
    return {
        "model_explorer.json": _node_data(sqnr, gradient=_GRADIENT),
        "model_explorer_bits.json": _node_data(bits, thresholds=_THRESHOLDS),
    }


def _node_data(figures: Mapping[str, float], **style: Sequence[Mapping[str, Any]]) -> str:
    results = {name: {"value": figure} for name, figure in figures.items()}
    return json.dumps({GRAPH: {"results": results, **style}}, indent=2, allow_nan=False) + "\n"
