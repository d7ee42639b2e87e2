"""The overlays against what Model Explorer's documentation says of node data."""

import json

from edgepack.report import LayerInfo
from edgepack.report.model_explorer import overlays

LAYERS = (
    LayerInfo("a", "Conv2d", 1, 1, sqnr_db=21.5, scheme="w4a8"),
    LayerInfo("b", "Relu", 0, 0, sqnr_db=30.0, scheme="float", alone_db=44.0),
    LayerInfo("c", "Reshape", 0, 0),
)
TENSORS = {"a": "a_out", "b": "b_out", "c": "c_out"}


def test_figures_are_keyed_by_output_tensors():
    files = {name: json.loads(text) for name, text in overlays(LAYERS, TENSORS).items()}
    sqnr = files["model_explorer.json"]["main"]
    assert sqnr["results"] == {"a_out": {"value": 21.5}, "b_out": {"value": 44.0}}
    bits = files["model_explorer_bits.json"]["main"]
    assert bits["results"] == {"a_out": {"value": 4}, "b_out": {"value": 32}}


def test_colours_span_what_the_format_asks_for():
    files = {name: json.loads(text) for name, text in overlays(LAYERS, TENSORS).items()}
    stops = [item["stop"] for item in files["model_explorer.json"]["main"]["gradient"]]
    assert (stops[0], stops[-1]) == (0, 1)
    bounds = [item["value"] for item in files["model_explorer_bits.json"]["main"]["thresholds"]]
    assert bounds == sorted(bounds)
