"""Reductions, sorting and running sums."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import Call
from edgepack.readers.tensorflow.registry import reads

_REDUCTIONS = {
    "Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Min": "ReduceMin",
    "Prod": "ReduceProd", "Any": "ReduceAny", "All": "ReduceAll",
}  # fmt: skip


@reads(*_REDUCTIONS)
def reduce(call: Call) -> Value:
    """A reduction over the dimensions of input 1; over none of them: nothing."""
    x = call.value(0)
    axes = sorted({a % max(x.rank, 1) for a in call.ints(1)})
    if not axes:
        return x
    keep = bool(call.attrs.get("keep_dims", False))
    return call.emit(_REDUCTIONS[call.op], x, axes=axes, keepdims=keep)


@reads("ArgMax", "ArgMin")
def arg_extreme(call: Call) -> Value:
    """ArgMax or ArgMin."""
    to = str(call.attrs.get("output_type", "int64"))
    return call.emit(call.op, call.value(0), axis=call.axis(1), to=to)


@reads("Cumsum")
def cumsum(call: Call) -> Value:
    """CumSum."""
    return call.emit(
        "CumSum", call.value(0), axis=call.axis(1),
        exclusive=bool(call.attrs.get("exclusive", False)),
        reverse=bool(call.attrs.get("reverse", False)),
    )  # fmt: skip


@reads("TopKV2")
def top_k(call: Call) -> Sequence[Value]:
    """TopK."""
    return call.emit_multi("TopK", call.value(0), k=call.ints(1)[0])


@reads("Cumprod")
def cumprod(call: Call) -> Value:
    """Refused: no runtime multiplies along."""
    raise Refused("a running product has no equivalent")
