"""Puts the factors of a layer in its place."""

from __future__ import annotations

import numpy as np

from edgepack.compress.factorize import Factors
from edgepack.ir import Array, Graph, Node, Value

_PLAIN = {"stride": (1, 1), "pad": ((0, 0), (0, 0)), "dilation": (1, 1), "activation": "none"}


def split_layer(graph: Graph, node: Node, found: Factors, bias: Array) -> None:
    """Replace a Conv2d (NHWC, one group) or FullyConnected by its factors, in place.

    `bias` [out] takes the place of the layer's own. The last of the new layers has the name and the
    activation of the old one.
    """
    if node.op == "FullyConnected":
        value = _dense_first(graph, node, found.rows)
    else:
        value = _convolution_first(graph, node, found)
    last = found.last if node.op == "FullyConnected" else found.last[:, None, None, :]
    tail = dict(node.attrs) | (_PLAIN if node.op == "Conv2d" else {"flatten": False})
    tail["activation"] = node.attrs["activation"]
    output = node.output
    new = graph.add(
        node.op,
        [value, _constant(graph, node, "last", last), _constant(graph, node, "bias", bias)],
        tail,
        name=f"{node.name}/last",
    )
    maker, name = new.producer, node.name
    assert maker is not None
    graph.replace(output, new)
    graph.remove(node)
    if not graph.is_output(new):
        output.name, new.name = graph.fresh(output.name), output.name
    maker.name = name


def _dense_first(graph: Graph, node: Node, rows: Array) -> Value:
    attrs = {**node.attrs, "activation": "none"}
    w = _constant(graph, node, "first", rows)
    return graph.add("FullyConnected", [node.input(0), w], attrs, name=_part(node, "first"))


def _convolution_first(graph: Graph, node: Node, found: Factors) -> Value:
    _, height, width, channels = node.input(1).shape
    window = {**node.attrs, "activation": "none"}
    x, rank = node.input(0), len(found.rows)
    if found.split.form == "svd":
        w = found.rows.reshape(rank, height, width, channels)
        return _conv(graph, node, "first", x, w, window)
    mix, inner = found.first
    x = _conv(graph, node, "first", x, mix[:, None, None, :], {**node.attrs, **_PLAIN})
    if found.split.form == "tucker":
        w = inner.reshape(rank, height, width, len(mix))
        return _conv(graph, node, "core", x, w, window)
    w = inner.T.reshape(1, height, width, rank)
    del window["groups"]
    value = _constant(graph, node, "core", w)
    return graph.add("DepthwiseConv2d", [x, value], window, name=_part(node, "core"))


def _conv(
    graph: Graph, node: Node, part: str, x: Value, w: Array, attrs: dict[str, object]
) -> Value:
    weights = _constant(graph, node, part, w)
    return graph.add("Conv2d", [x, weights], attrs, name=_part(node, part))


def _constant(graph: Graph, node: Node, part: str, data: Array) -> Value:
    return graph.constant(np.ascontiguousarray(data, np.float32), f"{_part(node, part)}_w")


def _part(node: Node, part: str) -> str:
    """A name for a part: of names that a fusion strung together, the last is long enough."""
    return f"{node.name.rsplit(';', 1)[-1]}/{part}"
