"""Reductions, sorting and running sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads

_PLAIN = {
    "aten.sum": "ReduceSum", "aten.mean": "ReduceMean", "aten.amax": "ReduceMax",
    "aten.amin": "ReduceMin", "aten.prod": "ReduceProd",
}  # fmt: skip


def _packet(call: Call) -> str:
    return ".".join(call.target.split(".")[:2])


def _keep(call: Call) -> bool:
    return bool(call.get("keepdim", False))


@reads(*_PLAIN)
def reduce(call: Call) -> Value:
    """Sum, mean, maximum, minimum or product over some or all dimensions."""
    x = call.value("self", call.dtype)
    return call.emit(_PLAIN[_packet(call)], x, axes=call.axes(), keepdims=_keep(call))


@reads("aten.any", "aten.all")
def any_all(call: Call) -> Value:
    """Whether any, or all, are not zero."""
    op = "ReduceAny" if "any" in call.target else "ReduceAll"
    x = call.value("self", DType.BOOL)
    return call.emit(op, x, axes=call.axes(), keepdims=_keep(call))


@reads("aten.max", "aten.min")
def extreme(call: Call) -> Value | Sequence[Value]:
    """The maximum or minimum of all, of two tensors, or along a dimension with its index."""
    kind = "Max" if "max" in call.target else "Min"
    if "other" in call.arguments:
        op = "Maximum" if kind == "Max" else "Minimum"
        return call.emit(op, call.value("self", call.dtype), call.value("other", call.dtype))
    x = call.value("self")
    best = call.emit(f"Reduce{kind}", x, axes=call.axes(), keepdims=_keep(call))
    if "dim" not in call.arguments:
        return best
    index = call.emit(f"Arg{kind}", x, axis=call.axis(), to="int64")
    return best, call.reshape(index, call.specs[1].shape)


@reads("aten.argmax", "aten.argmin")
def arg_extreme(call: Call) -> Value:
    """Index of the first extreme along a dimension, or in the flattened tensor."""
    x = call.value("self")
    axis = 0
    if call.get("dim") is None:
        x = call.reshape(x, (x.size,))
    else:
        axis = call.axis()
    op = "ArgMax" if "argmax" in call.target else "ArgMin"
    return call.reshape(call.emit(op, x, axis=axis, to="int64"), call.shape)


def _variance(call: Call) -> tuple[Value, Value]:
    """Variance and mean over `dim`, kept dimensions; torch divides by n - correction."""
    x, axes = call.value("self"), call.axes()
    count = math.prod(x.shape[a] for a in axes)
    mean = call.emit("ReduceMean", x, axes=axes, keepdims=True)
    spread = call.emit("ReduceMean", call.emit("SquaredDifference", x, mean), axes=axes,
                       keepdims=_keep(call))  # fmt: skip
    correction = _correction(call)
    if correction:
        if count <= correction:
            raise Refused(f"the variance of {count} elements has no value")
        spread = call.emit("Mul", spread, count / (count - correction))
    return spread, mean


def _correction(call: Call) -> float:
    if "unbiased" in call.arguments:
        return float(bool(call["unbiased"]))
    return float(call.get("correction", 1))


@reads("aten.var")
def var(call: Call) -> Value:
    """Variance."""
    return _variance(call)[0]


@reads("aten.std")
def std(call: Call) -> Value:
    """Standard deviation."""
    return call.emit("Sqrt", _variance(call)[0])


@reads("aten.var_mean", "aten.std_mean")
def var_mean(call: Call) -> Sequence[Value]:
    """Variance or deviation, and mean."""
    spread, mean = _variance(call)
    if "std" in call.target:
        spread = call.emit("Sqrt", spread)
    return spread, call.reshape(mean, call.specs[1].shape)


@reads("aten.logsumexp")
def logsumexp(call: Call) -> Value:
    """max + log(sum(exp(x - max)))."""
    x, axes = call.value("self"), call.axes()
    peak = call.emit("ReduceMax", x, axes=axes, keepdims=True)
    total = call.emit("Exp", call.emit("Sub", x, peak))
    total = call.emit("Log", call.emit("ReduceSum", total, axes=axes, keepdims=True))
    return call.reshape(call.emit("Add", peak, total), call.shape)


@reads("aten.cumsum")
def cumsum(call: Call) -> Value:
    """Running sum."""
    return call.emit("CumSum", call.value("self", call.dtype), axis=call.axis())


@reads("aten.topk")
def topk(call: Call) -> Sequence[Value]:
    """The k largest or smallest along a dimension, sorted, with their indices."""
    return _top(call, int(call["k"]), bool(call.get("largest", True)))


@reads("aten.sort")
def sort(call: Call) -> Sequence[Value]:
    """All elements in order, as the top of all of them; ties in the order they stand."""
    x = call.value("self")
    return _top(call, x.shape[call.axis()] if x.rank else 1, bool(call.get("descending", False)))


@reads("aten.argsort")
def argsort(call: Call) -> Value:
    """The indices of `sort`."""
    return sort(call)[1]


def _top(call: Call, k: int, largest: bool) -> Sequence[Value]:
    x = call.value("self")
    if not x.rank or x.dtype is DType.BOOL:
        raise Refused("sorting a scalar or truth values has no equivalent")
    axis = call.axis()
    swap = list(range(x.rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    turned = call.transpose(x, swap)
    turned = turned if largest else call.emit("Neg", turned)
    values, indices = call.emit_multi("TopK", turned, k=k)
    values = values if largest else call.emit("Neg", values)
    indices = call.cast(indices, DType.INT64)
    return call.transpose(values, swap), call.transpose(indices, swap)


@reads("aten.tril", "aten.triu")
def triangle(call: Call) -> Value:
    """A triangle of the last two dimensions, by a mask."""
    x = call.value("self")
    keep = np.tril if "tril" in call.target else np.triu
    mask = keep(np.ones(x.shape[-2:], bool), int(call.get("diagonal", 0)))
    return call.emit("Where", call.const(mask), x, 0)
