"""Pad into the convolution or pooling after it.

A convolution pads with zeros by itself, a maximum pool with minus infinity, an average pool with
zeros where `count_include_pad` is set. Equal padding adds up: pad' = pad + Pad's.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edgepack.ir import Graph, Node, Value
from edgepack.passes.activations import range_of
from edgepack.passes.match import bypass, declined, live

_CONVS: Final = ("Conv2d", "DepthwiseConv2d")
_WINDOWED: Final = (*_CONVS, "MaxPool2d", "AveragePool2d")

Pads = tuple[tuple[int, int], ...]


def fold_pad(graph: Graph) -> int:
    """Fold each Pad whose readers all are windowed operators that pad the same way."""
    return sum(_fold(graph, node) for node in live(graph, "Pad"))


def fold_conv_pad(graph: Graph) -> int:
    """Fold each Pad that only convolutions read.

    For kernels that have no average pool whose padding counts.
    """
    pads = (n for n in live(graph, "Pad") if all(u.op in _CONVS for u in n.output.users))
    return sum(_fold(graph, node) for node in pads)


def _fold(graph: Graph, node: Node) -> bool:
    users = list(node.output.users)
    if not any(user.op in _WINDOWED for user in users) or graph.is_output(node.output):
        return False
    why = next((w for user in users if (w := _refusal(node, user))), "")
    if why:
        declined("fold_pad", node, why)
        return False
    for user in users:
        own = user.attrs["pad"]
        extra = _spatial(node, user)
        user.attrs["pad"] = tuple((a + c, b + d) for (a, b), (c, d) in zip(own, extra, strict=True))
        if user.op == "AveragePool2d":
            user.attrs["count_include_pad"] = True
    bypass(graph, node.output, node.input(0))
    return True


def _spatial(pad: Node, user: Node) -> Pads:
    first = 2 if user.attrs["layout"] == "NCHW" else 1
    pads: Pads = pad.attrs["pads"][first : first + 2]
    return pads


def _refusal(pad: Node, user: Node) -> str:
    if user.op not in _WINDOWED or user.input(0) is not pad.output:
        return f"{user.op} {user.name} does not pad"
    if pad.attrs["mode"] != "constant" or pad.output.rank != 4:
        return "not a constant border of an image"
    spatial = _spatial(pad, user)
    if sum(map(sum, spatial)) != sum(map(sum, pad.attrs["pads"])) or min(map(min, spatial)) < 0:
        return "it pads more than height and width, or cuts"
    if pad.input(0).quant != pad.output.quant:
        return "it changes the quantization parameters"
    return _refuses_value(pad, user)


def _refuses_value(pad: Node, user: Node) -> str:
    value = pad.attrs["value"]
    if user.op == "MaxPool2d":
        return "" if _never_wins(pad, user) else f"{value} could be the maximum"
    if value != 0:
        return f"{user.op} pads with 0, not {value}"
    if user.op == "AveragePool2d" and any(map(any, user.attrs["pad"])):
        return "" if user.attrs["count_include_pad"] else "its own padding does not count"
    return ""


def _never_wins(pad: Node, user: Node) -> bool:
    value, x = pad.attrs["value"], pad.input(0)
    if value <= np.finfo(np.float32).min:
        return True
    return value <= _least(x) and _every_window_sees(pad, user)


def _least(x: Value) -> float:
    if x.quant is None:
        return range_of(x)[0] if x.dtype.is_float else math.inf
    low = np.array([x.dtype.limits[0]], x.dtype.numpy)
    return float(x.quant.dequantize(low)[0])


def _every_window_sees(pad: Node, user: Node) -> bool:
    """Whether each window holds at least one pixel that is no padding."""
    own, extra = user.attrs["pad"], _spatial(pad, user)
    widest = max(a + b for pair in zip(own, extra, strict=True) for a, b in zip(*pair, strict=True))
    return bool(widest < min(user.attrs["kernel"]))
