"""Layers as Keras 2 wrote them, for Keras 3: their configurations have a few keys more.

The keys hold what Keras 3 does anyway, or are refused.
"""

from __future__ import annotations

from typing import Any

# Key and the only value that means nothing.
_EXTRA_KEYS: dict[str, dict[str, Any]] = {
    "DepthwiseConv2D": {"groups": 1},
    "DepthwiseConv1D": {"groups": 1},
    "SeparableConv2D": {"groups": 1},
    "SeparableConv1D": {"groups": 1},
    "Conv2DTranspose": {"groups": 1},
    "Conv1DTranspose": {"groups": 1},
    "LSTM": {"time_major": False, "implementation": None},
    "GRU": {"time_major": False, "implementation": None},
    "SimpleRNN": {"time_major": False},
    "RNN": {"time_major": False},
}


def legacy_layers() -> dict[str, Any]:
    """Custom objects for keras.models.load_model."""
    import keras

    layers = {name: _without(getattr(keras.layers, name), extra) for name, extra in _mended()}
    return {
        **layers,
        "BatchNormalization": _batch_normalization(),
        "TFOpLambda": _operation_layer(),
        "SlicingOpLambda": _slicing_layer(),
    }


def _mended() -> list[tuple[str, dict[str, Any]]]:
    import keras

    return [(name, extra) for name, extra in _EXTRA_KEYS.items() if hasattr(keras.layers, name)]


def _without(layer: Any, extra: dict[str, Any]) -> Any:
    """The layer's class, made from a configuration without the extra keys."""

    class Mended(layer):  # type: ignore[misc]
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            kept = dict(config)
            for key, neutral in extra.items():
                value = kept.pop(key, neutral)
                if neutral is not None and value != neutral:
                    raise ValueError(f"{layer.__name__} with {key}={value} cannot be read")
            return layer.from_config(kept)

    Mended.__name__ = layer.__name__
    return Mended


def _batch_normalization() -> Any:
    import keras

    class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
        """Its axis may be a list of one."""

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            axis = config.get("axis", -1)
            plain = {**config, "axis": axis[0] if isinstance(axis, list) else axis}
            known = {k: v for k, v in plain.items() if k not in _FUSED_KEYS}
            return keras.layers.BatchNormalization.from_config(known)

    return BatchNormalization


_FUSED_KEYS = frozenset({"fused", "virtual_batch_size", "adjustment"})


# -- functions called on symbolic tensors ----------------------------------------------------------

# Of these modules of TensorFlow every function depends on its arguments alone.
_MODULES = (
    "math.",
    "nn.",
    "image.",
    "linalg.",
    "__operators__.",
    "compat.v1.",
    "keras.activations.",
)
_FUNCTIONS = frozenset({
    "reshape", "concat", "stack", "unstack", "split", "transpose", "squeeze", "expand_dims",
    "cast", "pad", "tile", "gather", "reverse", "slice", "strided_slice", "clip_by_value",
    "identity", "where", "zeros_like", "ones_like", "one_hot", "broadcast_to", "roll", "repeat",
    "convert_to_tensor", "shape", "add_n", "stop_gradient", "range", "fill", "reduce_mean",
    "reduce_sum", "reduce_max", "reduce_min", "add", "subtract", "multiply", "divide", "maximum",
    "minimum", "abs", "exp", "sqrt", "square", "sigmoid", "tanh", "matmul", "einsum",
})  # fmt: skip


def _function(path: str) -> Any:
    """The TensorFlow function of that name. Raises ValueError unless it only computes."""
    import tensorflow as tf

    if not path.startswith(_MODULES) and path not in _FUNCTIONS:
        raise ValueError(f"the function tf.{path} is not known to be safe")
    if path.startswith("__operators__."):
        return _operator(path.rpartition(".")[2])
    found: Any = tf
    for part in path.split("."):
        if part.startswith("_"):
            raise ValueError(f"the function tf.{path} is not known to be safe")
        found = getattr(found, part)
    return found


def _operator(name: str) -> Any:
    operators = {"getitem": _getitem, "add": _add, "ne": _not_equal, "eq": _equal}
    if name not in operators:
        raise ValueError(f"the operator {name} on tensors is not known")
    return operators[name]


def _add(x: Any, y: Any) -> Any:
    return x + y


def _equal(x: Any, y: Any) -> Any:
    return x == y


def _not_equal(x: Any, y: Any) -> Any:
    return x != y


def _getitem(x: Any, slice_spec: Any) -> Any:
    """Slicing as Keras 2 wrote it: a slice is a dictionary of start, stop and step."""

    def piece(item: Any) -> Any:
        if isinstance(item, dict):
            return slice(*(item.get(key) for key in ("start", "stop", "step")))
        return Ellipsis if item == "..." else item

    several = isinstance(slice_spec, list | tuple)
    return x[tuple(map(piece, slice_spec)) if several else piece(slice_spec)]


def _operation_layer() -> Any:
    import keras

    class TFOpLambda(keras.layers.Layer):  # type: ignore[misc]
        """A TensorFlow function by its name."""

        def __init__(self, function: str, **options: Any) -> None:
            super().__init__(**options)
            self._call = _function(function)

        def call(self, *arguments: Any, **keywords: Any) -> Any:
            keywords.pop("name", None)
            return self._call(*arguments, **keywords)

    return TFOpLambda


def _slicing_layer() -> Any:
    import keras

    class SlicingOpLambda(keras.layers.Layer):  # type: ignore[misc]
        """x[...]."""

        def __init__(self, function: str = "", **options: Any) -> None:
            super().__init__(**options)

        def call(self, x: Any, slice_spec: Any = ()) -> Any:
            return _getitem(x, slice_spec)

    return SlicingOpLambda
