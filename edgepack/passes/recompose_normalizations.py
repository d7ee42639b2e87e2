"""Powers, softmax and normalizations that a framework spelled out, put together again.

normalized(v) = v / sqrt(mean(v^2) + eps)
RmsNorm(x) = normalized(x) * gamma,   LayerNorm(x) = normalized(x - mean(x)) * gamma + beta
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import Array, Graph, Node, Value
from edgepack.passes.match import (
    all_real,
    as_float32,
    declined,
    live,
    producer,
    sole_producer,
    supersede,
    uniform,
    variable_and_constant,
)

_POWERS: Final = {0.5: "Sqrt", -0.5: "Rsqrt"}


def simplify_powers(graph: Graph) -> int:
    """x^2 = x * x, x^3 = x * x * x, x^0.5 = Sqrt, x^-0.5 = 1 / Sqrt = Rsqrt; count them.

    Whole powers are spelled as products, which have integer kernels everywhere.
    """
    count = 0
    for node in live(graph, "Pow", "Div", "Square"):
        found = _simpler(graph, node) if all_real(node) else None
        if found is not None and found[1][0].shape == node.output.shape:
            supersede(graph, node.output, found[0], found[1])
            count += 1
    return count


def _simpler(graph: Graph, node: Node) -> tuple[str, list[Value]] | None:
    a = node.input(0)
    if node.op == "Square":
        return "Mul", [a, a]
    b = node.input(1)
    if node.op == "Pow":
        power = uniform(b)
        if power == 2:
            return "Mul", [a, a]
        if power == 3:
            return "Mul", [graph.add("Mul", [a, a], name=f"{node.name}/square"), a]
        op = _POWERS.get(power or 0.0)
        return (op, [a]) if op else None
    root = sole_producer(graph, b, "Sqrt")
    if root is None or uniform(a) != 1 or node.attrs["activation"] != "none":
        return None
    return "Rsqrt", [root.input(0)]


def divide_by_multiplying(graph: Graph) -> int:
    """x / c = x * (1 / c) for constants without zeros: a product has an integer kernel everywhere.

    The reciprocal is rounded once; what is infinite or below the normal numbers is left a Div.
    """
    count = 0
    for node in live(graph, "Div"):
        x, c = node.input(0), node.input(1)
        if x.is_const or not c.is_const or not all_real(node) or not c.const.all():
            continue
        reciprocal = as_float32(1 / c.const.astype(np.float64))
        size = np.abs(reciprocal)
        if not np.isfinite(size).all() or (size < np.finfo(np.float32).tiny).any():
            declined("divide_by_multiplying", node, "its reciprocal is out of range")
            continue
        factor = graph.constant(reciprocal.reshape(c.shape), c.name)
        attrs = {"activation": node.attrs["activation"]}
        supersede(graph, node.output, "Mul", [x, factor], attrs)
        count += 1
    return count


# -- softmax ---------------------------------------------------------------------------------------


def recompose_softmax(graph: Graph) -> int:
    """exp(x) / sum(exp(x)) = Softmax(x), also with x - max(x) in place of x."""
    count = 0
    for node in live(graph, "Div"):
        e = producer(node.input(0), "Exp")
        total = sole_producer(graph, node.input(1), "ReduceSum")
        if e is None or total is None or total.input(0) is not e.output or not all_real(node):
            continue
        axis = _single_axis(total)
        if axis is None or set(e.output.users) != {node, total} or graph.is_output(e.output):
            declined("recompose_softmax", node, "several axes, or exp(x) has other readers")
            continue
        if node.attrs["activation"] == "none":
            x = _unshifted(graph, e.input(0), axis)
            supersede(graph, node.output, "Softmax", [x], {"axis": axis})
            count += 1
    return count


def _single_axis(reduction: Node) -> int | None:
    axes = reduction.attrs["axes"]
    if len(axes) != 1 or not reduction.attrs["keepdims"]:
        return None
    return int(axes[0]) % reduction.input(0).rank


def _unshifted(graph: Graph, value: Value, axis: int) -> Value:
    shift = sole_producer(graph, value, "Sub")
    peak = producer(shift.input(1), "ReduceMax") if shift is not None else None
    if shift is None or peak is None or peak.input(0) is not shift.input(0):
        return value
    return shift.input(0) if _single_axis(peak) == axis else value


# -- layer and RMS normalization -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Norm:
    """The value normalized, the first of its normalized dimensions, and eps."""

    op: str
    x: Value
    axis: int
    eps: float


def recompose_norms(graph: Graph) -> int:
    """LayerNorm and RmsNorm from their arithmetic; count them. Needs constant gamma and beta."""
    count = 0
    for node in live(graph, "Mul", "Div"):
        norm = _match_norm(graph, node) if all_real(node) else None
        if norm is not None:
            attrs = {"axis": norm.axis, "eps": norm.eps}
            supersede(graph, node.output, norm.op, [norm.x], attrs)
            count += 1
    return count


def _match_norm(graph: Graph, node: Node) -> _Norm | None:
    if node.attrs["activation"] != "none":
        return None
    a, b = node.input(0), node.input(1)
    pairs = ((a, b),) if node.op == "Div" else ((a, b), (b, a))
    for v, length in pairs:
        root = sole_producer(graph, length, "Sqrt" if node.op == "Div" else "Rsqrt")
        spread = _mean_square(graph, root.input(0), v) if root is not None else None
        if spread is not None:
            mean_square, eps = spread
            return _norm(graph, node, v, mean_square, eps)
    return None


def _mean_square(graph: Graph, value: Value, v: Value) -> tuple[Node, float] | None:
    """(mean node, eps) when `value` is mean(v^2) + eps and is read once."""
    add, eps = sole_producer(graph, value, "Add"), 0.0
    if add is not None:
        parts = variable_and_constant(add)
        number = uniform(parts[1]) if parts else None
        if parts is None or number is None:
            return None
        value, eps = parts[0], number
    mean = sole_producer(graph, value, "ReduceMean")
    if mean is None or not mean.attrs["keepdims"]:
        return None
    return (mean, eps) if _is_square_of(graph, mean.input(0), v) else None


def _is_square_of(graph: Graph, value: Value, v: Value) -> bool:
    square = sole_producer(graph, value, "Mul", "SquaredDifference")
    if square is None:
        return False
    if square.op != "SquaredDifference":
        return all(x is v for x in square.inputs)
    centred = producer(v, "Sub")
    return centred is not None and tuple(square.inputs) == tuple(centred.inputs)


def _norm(graph: Graph, node: Node, v: Value, mean_square: Node, eps: float) -> _Norm | None:
    axis = _trailing(mean_square)
    if axis is None:
        declined("recompose_norms", node, "not over the last dimensions")
        return None
    centred = producer(v, "Sub")
    mean = producer(centred.input(1), "ReduceMean") if centred is not None else None
    if centred is None or mean is None or mean.input(0) is not centred.input(0):
        return _Norm("RmsNorm", v, axis, eps)
    if _trailing(mean) != axis or not mean.attrs["keepdims"]:
        return _Norm("RmsNorm", v, axis, eps)
    # v is read by the square and by the product, or by the product alone
    if len(v.users) > 2 or graph.is_output(v):
        declined("recompose_norms", node, f"{v.name} has other readers")
        return None
    return _Norm("LayerNorm", centred.input(0), axis, eps)


def _trailing(mean: Node) -> int | None:
    rank = mean.input(0).rank
    axes = sorted(a % rank for a in mean.attrs["axes"])
    return axes[0] if axes and axes == list(range(axes[0], rank)) else None


def fold_norm_parameters(graph: Graph) -> int:
    """Mul and Add by constants over the normalized dimensions into gamma and beta before them."""
    count = 0
    for node in live(graph, "Mul", "Add"):
        parts = variable_and_constant(node)
        norm = sole_producer(graph, parts[0], "LayerNorm", "RmsNorm") if parts else None
        if parts is None or norm is None or not all_real(node):
            continue
        count += _fold_parameter(graph, node, norm, parts[1])
    return count


def _fold_parameter(graph: Graph, node: Node, norm: Node, constant: Value) -> bool:
    gamma, beta = norm.optional(1), norm.optional(2)
    known = all(v is None or v.is_const for v in (gamma, beta))
    free = beta is None and (norm.op == "LayerNorm" or node.op == "Mul")
    data = _over_normalized(constant, norm)
    if not known or not free or node.attrs["activation"] != "none":
        return False
    if data is None or node.output.shape != norm.output.shape:
        declined("fold_norm_parameters", node, "not over the normalized dimensions")
        return False
    if node.op == "Add":
        new = [gamma or graph.constant(np.ones_like(data), f"{norm.name}/gamma")]
        new.append(graph.constant(as_float32(data), constant.name))
    else:
        old = 1.0 if gamma is None else gamma.const
        new = [graph.constant(as_float32(data * old), constant.name)]
    attrs = {"axis": norm.attrs["axis"], "eps": norm.attrs["eps"]}
    supersede(graph, node.output, norm.op, [norm.input(0), *new], attrs)
    return True


def _over_normalized(constant: Value, norm: Node) -> Array | None:
    """A constant spread over the normalized dimensions; None when it varies along others."""
    rank = norm.output.rank
    axis = norm.attrs["axis"] % rank
    dims = (1,) * (rank - constant.rank) + constant.shape
    if len(dims) > rank or any(d != 1 for d in dims[:axis]):
        return None
    return np.broadcast_to(constant.const.reshape(dims[axis:]), norm.output.shape[axis:])


def recompose_batch_form(graph: Graph) -> int:
    """x * i + (beta - mean * i) = (x - mean) * i + beta, TensorFlow's spelling of a LayerNorm.

    Only where mean is a ReduceMean of x and i = rsqrt(...) * gamma: `recompose_norms` and
    `fold_norm_parameters` then see the usual form.
    """
    count = 0
    for node in live(graph, "Add"):
        for left, right in (node.inputs, node.inputs[::-1]):
            product, rest = sole_producer(graph, left, "Mul"), sole_producer(graph, right, "Sub")
            if product is None or rest is None or not all_real(node):
                continue
            if _respell(graph, node, product, rest):
                count += 1
                break
    return count


def _respell(graph: Graph, node: Node, product: Node, rest: Node) -> bool:
    scaled = sole_producer(graph, rest.input(1), "Mul")
    beta = rest.input(0)
    if scaled is None or not beta.is_const or node.attrs["activation"] != "none":
        return False
    for mean, i in (scaled.inputs, scaled.inputs[::-1]):
        average = producer(mean, "ReduceMean")
        factors = producer(i, "Mul")
        if average is None or factors is None or mean is None or i is None:
            continue
        x, parts = average.input(0), variable_and_constant(factors)
        if set(product.inputs) != {x, i} or parts is None:
            continue
        if producer(parts[0], "Rsqrt") is None:
            continue
        centred = graph.add("Sub", [x, mean], name=f"{node.name}/centred")
        normal = graph.add("Mul", [centred, parts[0]], name=f"{node.name}/normal")
        gained = graph.add("Mul", [normal, parts[1]], name=f"{node.name}/gained")
        supersede(graph, node.output, "Add", [gained, beta])
        return True
    return False
