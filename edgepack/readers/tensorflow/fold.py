"""Computing a TensorFlow node whose inputs are known, by TensorFlow itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from edgepack.ir import Array
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import normal
from edgepack.readers.tensorflow.registry import READS

# Beyond the table, all without side effects. Nothing else is ever run: a model file may hold
# operators that touch files or call Python.
_PURE = frozenset({
    "BroadcastArgs", "Range", "LinSpace", "Bitcast", "InvertPermutation", "BitwiseAnd",
    "BitwiseOr", "Invert", "TruncateMod", "Mod", "DynamicStitch", "Where", "Cumprod", "Sinh",
    "Cosh", "Atan", "Atan2", "Asin", "Acos", "Bincount", "Diag", "MatrixDiag", "MatrixDiagV3",
    "TensorScatterUpdate", "ConcatOffset",
})  # fmt: skip


# What tf.raw_ops calls otherwise than the operator's declaration does.
_RENAMED = dict.fromkeys(
    ("reduction_indices", "dim", "split_dim", "concat_dim", "squeeze_dims", "dimension"), "axis"
)


def can_compute(op: str) -> bool:
    """Whether the operator depends on its inputs alone."""
    return op in READS or op in _PURE


def compute(op: str, inputs: Sequence[Array], attrs: Mapping[str, Any]) -> list[Array]:
    """The outputs of one operator. Raises Refused with TensorFlow's reason."""
    import tensorflow as tf

    declared = op_def(op)
    try:
        with tf.device("CPU"):
            function = getattr(tf.raw_ops, op)
            accepted = inspect.signature(function).parameters
            keywords = _keywords(declared, inputs, attrs)
            result = function(**{
                name if name in accepted else _RENAMED[name]: value
                for name, value in keywords.items()
            })  # fmt: skip
    except Exception as problem:
        raise Refused(f"TensorFlow cannot compute it: {str(problem).splitlines()[0]}") from problem
    several = isinstance(result, list | tuple)
    return [normal(tensor.numpy()) for tensor in (result if several else [result])]


def op_def(op: str) -> Any:
    """TensorFlow's declaration of an operator, None when it is not known."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op)


def _keywords(declared: Any, inputs: Sequence[Array], attrs: Mapping[str, Any]) -> dict[str, Any]:
    remaining = list(inputs)
    keywords: dict[str, Any] = {}
    inferred = set()
    for argument in declared.input_arg:
        inferred |= {argument.type_attr, argument.number_attr, argument.type_list_attr}
        if argument.number_attr:
            count = int(attrs[argument.number_attr])
            keywords[argument.name] = [remaining.pop(0) for _ in range(count)]
        else:
            keywords[argument.name] = remaining.pop(0)
    known = {a.name for a in declared.attr} - inferred
    keywords |= {name: value for name, value in attrs.items() if name in known}
    return keywords
