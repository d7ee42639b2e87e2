"""Channels of very different sizes are evened out before they share one scale.

After SmoothQuant (Xiao et al. 2022, arXiv:2211.10438). A few channels of a LayerNorm's output are
often ten to a hundred times as large as the others, and so are the parts of a concatenation that
come from different sources. One scale for all leaves the small ones a handful of steps. But where
only layers with weights read a value, channel c may be divided by any s_c > 0 if their weights for
it are multiplied by s_c:

    W x = (W diag(s)) (x / s)

and the division costs nothing where what makes the value takes it in: the constant factor and
summand of a normalization, or the layers before a concatenation,

    x / s = n * (gamma / s) + beta / s
    f(V z + b) / s = f((V / s) z + b / s)       where f is ReLU or none

Which s is best follows from the noise of both roundings, which the statistics of calibration and
the weights tell; see `_noise`. The function of the graph stays what it was but for float rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import DType, Graph, Node, Value
from edgepack.quantize.statistics import ChannelStatistics, StatisticsTable

_Vector = npt.NDArray[np.float64]
_STRENGTHS: Final = np.linspace(0.1, 1.0, 10)  # how much of the difference moves into the weights
_WORTH: Final = 10**-0.2  # the noise must fall by 2 dB, or the graph is left alone
_LARGEST: Final = 1e4  # factor between channels
_STEPS: Final = 255
_HOMOGENEOUS: Final = ("none", "relu")  # activations f with f(y / s) = f(y) / s
# Operators that treat every channel apart and alike, so that a factor may pass through.
_PASSING: Final = ("MaxPool2d", "AveragePool2d", "ResizeNearest", "ResizeBilinear", "Relu")


@dataclass(frozen=True, slots=True)
class _Share:
    """A node that takes in the factors of the channels from `start` to `stop` of a value."""

    node: Node
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Junction:
    """A value, what makes it, and the layers that read it."""

    value: Value
    shares: tuple[_Share, ...]
    readers: tuple[Node, ...]


def smoothed_values(graph: Graph) -> frozenset[str]:
    """Names of the values of a float graph that `smooth` wants channel statistics of."""
    return frozenset(junction.value.name for junction in _junctions(graph))


def smooth(graph: Graph, seen: StatisticsTable) -> tuple[str, ...]:
    """Even out channels in place where that pays; return the names of the values that changed.

    `graph` is float and legalized; `seen` has channel statistics of `smoothed_values`. What was
    seen of the values between the nodes that changed is out of date afterwards.
    """
    changed = []
    for junction in _junctions(graph):
        found = seen.get(junction.value.name)
        if found is None or found.channels is None:
            continue
        scale = _best_scale(junction, found.channels)
        if scale is not None:
            _carry_out(graph, junction, scale)
            changed.append(junction.value.name)
    return tuple(changed)


# -- where -----------------------------------------------------------------------------------------


def _junctions(graph: Graph) -> Iterator[_Junction]:
    for node in graph.nodes:
        value = node.output if len(node.outputs) == 1 else None
        if value is None or value.dtype is not DType.FLOAT32 or graph.is_output(value):
            continue
        readers = _readers(graph, value)
        if readers:
            shares = _shares(graph, value)
            if shares:
                yield _Junction(value, shares, readers)


def _readers(graph: Graph, value: Value) -> tuple[Node, ...] | None:
    """The layers that read `value`, behind operators that pass factors on; None if others do."""
    found: list[Node] = []
    if graph.is_output(value):
        return None
    for user in value.users:
        if _passes_on(user):
            behind = _readers(graph, user.output)
            if behind is None:
                return None
            found.extend(behind)
        elif _takes_factors(user, value):
            found.append(user)
        else:
            return None
    return tuple(found)


def _passes_on(node: Node) -> bool:
    if node.op == "Pad":
        channels = node.attrs["pads"][-1]
        return not any(channels) and node.attrs["mode"] == "constant" and not node.attrs["value"]
    return node.op in _PASSING and node.attrs.get("activation", "none") in _HOMOGENEOUS


def _takes_factors(node: Node, value: Value) -> bool:
    """Whether the weights of `node` have a dimension for the channels of `value`."""
    if node.op == "FullyConnected":
        fits = not node.attrs["flatten"]
    else:
        fits = node.op == "Conv2d" and node.attrs["groups"] == 1
    return fits and node.inputs[0] is value and _constant(node, 1) and value not in node.inputs[1:]


def _constant(node: Node, index: int) -> bool:
    value = node.optional(index)
    return value is not None and value.data is not None and value.dtype is DType.FLOAT32


def _shares(graph: Graph, value: Value) -> tuple[_Share, ...] | None:
    """What takes in the factors of `value`; None where something cannot, or nothing needs to."""
    node = value.producer
    if node is None:
        return None
    if node.op == "Concat" and node.attrs["axis"] % value.rank == value.rank - 1:
        return _of_parts(graph, node)
    if node.op in ("Mul", "Add") and _affine(node):
        return _of_affine(graph, node)
    return None


def _of_parts(graph: Graph, concat: Node) -> tuple[_Share, ...] | None:
    shares: list[_Share] = []
    start = 0
    for part in concat.present_inputs:
        maker = _homogeneous_maker(graph, part)
        if maker is None or list(concat.inputs).count(part) > 1:
            return None
        stop = start + part.shape[-1]
        shares.append(_Share(maker, start, stop))
        start = stop
    return tuple(shares)


def _homogeneous_maker(graph: Graph, value: Value) -> Node | None:
    """The layer whose channels `value` has, behind operators that pass factors on."""
    node = value.producer
    if node is None or graph.only_user(value) is None:
        return None
    if _passes_on(node):
        return _homogeneous_maker(graph, node.input(0))
    if node.op in ("Conv2d", "FullyConnected") and node.attrs["activation"] in _HOMOGENEOUS:
        fits = _constant(node, 1) and (node.optional(2) is None or _constant(node, 2))
        return node if fits else None
    return None


def _affine(node: Node) -> bool:
    """A product with, or a sum with, one constant along the last dimension."""
    return (
        node.attrs["activation"] in _HOMOGENEOUS
        and _constant_side(node) is not None
        and node.output.rank > 0
    )


def _constant_side(node: Node) -> int | None:
    for index in (1, 0):
        if _constant(node, index) and _along_channels(node.input(index), node.output):
            return index
    return None


def _along_channels(constant: Value, output: Value) -> bool:
    return constant.size in (1, output.shape[-1]) and (
        constant.size == 1 or constant.shape[-1] == output.shape[-1]
    )


def _of_affine(graph: Graph, node: Node) -> tuple[_Share, ...] | None:
    size = node.output.shape[-1]
    if node.op == "Mul":
        return (_Share(node, 0, size),)
    side = _constant_side(node)
    assert side is not None  # `_affine` saw it
    product = node.input(1 - side)
    maker = product.producer
    if maker is None or maker.op != "Mul" or graph.only_user(product) is None:
        return None
    if maker.attrs["activation"] != "none" or _constant_side(maker) is None:
        return None
    return _Share(maker, 0, size), _Share(node, 0, size)


# -- how much --------------------------------------------------------------------------------------


def _best_scale(junction: _Junction, seen: ChannelStatistics) -> _Vector | None:
    """What to divide the channels by, [C]; None where that gains too little."""
    weights = [_rows(reader) for reader in junction.readers]
    largest = np.maximum(np.abs(seen.low), np.abs(seen.high))
    columns = np.max([np.abs(w).max(axis=0) for w in weights], axis=0)
    alive = (largest > 0) & (columns > 0)
    if not alive.any():
        return None
    best, least = None, _noise(np.ones_like(largest), seen, weights) * _WORTH
    for strength in _STRENGTHS:
        scale = np.ones_like(largest)
        scale[alive] = largest[alive] ** strength / columns[alive] ** (1 - strength)
        scale[alive] /= np.exp(np.log(scale[alive]).mean())
        scale = np.exp2(np.rint(np.log2(np.clip(scale, 1 / _LARGEST, _LARGEST))))  # exact factors
        noise = _noise(scale, seen, weights)
        if noise < least:
            best, least = scale, noise
    return best


def _noise(scale: _Vector, seen: ChannelStatistics, weights: list[_Vector]) -> float:
    """Expected squared error of what the readers make, relative to its own square, summed.

    A step of size d makes errors of d^2 / 12. The input has one step for all channels, the weights
    one for each row.
    """
    low, high = (
        min(float((seen.low / scale).min()), 0.0),
        max(float((seen.high / scale).max()), 0.0),
    )
    step = (high - low) / _STEPS
    power = seen.power / np.square(scale)
    total = 0.0
    for w in weights:
        scaled = w * scale
        steps = np.abs(scaled).max(axis=1) / (_STEPS // 2)
        error = step**2 * np.square(scaled).sum() + np.square(steps).sum() * power.sum()
        signal = (np.square(w) @ seen.power).sum()
        total += float(error / 12 / max(float(signal), 1e-30))
    return total


def _rows(node: Node) -> _Vector:
    """The weights as [outputs * positions, channels]: the last dimension is that of the input."""
    w = node.input(1).const
    return w.reshape(-1, w.shape[-1]).astype(np.float64)


# -- doing it --------------------------------------------------------------------------------------


def _carry_out(graph: Graph, junction: _Junction, scale: _Vector) -> None:
    for share in junction.shares:
        _divide(graph, share.node, scale[share.start : share.stop])
    for reader in junction.readers:
        _replace(graph, reader, 1, reader.input(1).const * scale)


def _divide(graph: Graph, node: Node, scale: _Vector) -> None:
    """Let the channels of what `node` makes be divided by `scale`."""
    if node.op in ("Mul", "Add"):
        side = _constant_side(node)
        assert side is not None  # `_affine` saw it
        _replace(graph, node, side, node.input(side).const / scale)
        return
    graph.source.divide_moments(node.output.name, scale)
    w = node.input(1).const
    _replace(graph, node, 1, w / scale.reshape(-1, *[1] * (w.ndim - 1)))
    if node.optional(2) is not None:
        _replace(graph, node, 2, node.input(2).const / scale)


def _replace(graph: Graph, node: Node, index: int, data: npt.NDArray[np.float64]) -> None:
    old = node.input(index)
    node.set_input(index, graph.constant(data.astype(np.float32), old.name))
