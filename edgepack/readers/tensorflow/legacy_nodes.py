"""Keras 2's record of how a TensorFlow function was called on symbolic tensors, for Keras 3.

A tensor is `[layer, node, output]`, the first argument carries the keyword arguments of the call:
`["dense", 0, 0, {"y": ["other", 0, 0]}]`, or a list of such for a list of tensors.
"""

from __future__ import annotations

from typing import Any

FUNCTION_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})


def has_function_layers(config: Any) -> bool:
    """Whether a model's configuration has such calls."""
    if isinstance(config, dict):
        return config.get("class_name") in FUNCTION_LAYERS or any(
            has_function_layers(item) for item in config.values()
        )
    return isinstance(config, list) and any(has_function_layers(item) for item in config)


def modern_nodes(config: Any) -> Any:
    """A copy of the configuration with these calls in Keras 3's form."""
    if isinstance(config, list):
        return [modern_nodes(item) for item in config]
    if not isinstance(config, dict):
        return config
    copy = {key: modern_nodes(item) for key, item in config.items()}
    if copy.get("class_name") in FUNCTION_LAYERS:
        copy["inbound_nodes"] = [_node(item) for item in config.get("inbound_nodes", [])]
    return copy


def _node(item: Any) -> Any:
    if not isinstance(item, list) or not item:
        return item
    if isinstance(item[0], str):
        return {"args": [_first(item)], "kwargs": _arguments(item[3])}
    return {"args": [[_first(entry) for entry in item]], "kwargs": _arguments(item[0][3])}


def _first(entry: list[Any]) -> Any:
    return entry[2] if entry[0] == "_CONSTANT_VALUE" else _tensor(entry[:3])


def _arguments(keywords: dict[str, Any]) -> dict[str, Any]:
    return {key: _argument(item) for key, item in keywords.items()}


def _argument(item: Any) -> Any:
    if isinstance(item, list):
        if _is_tensor(item):
            return _tensor(item)
        return [_argument(entry) for entry in item]
    return item


def _is_tensor(item: list[Any]) -> bool:
    return len(item) == 3 and isinstance(item[0], str) and all(type(i) is int for i in item[1:])


def _tensor(reference: list[Any]) -> dict[str, Any]:
    # Only the history counts: shape and type are those of the layer that made the tensor.
    config = {"shape": [None], "dtype": "float32", "keras_history": reference}
    return {"class_name": "__keras_tensor__", "config": config}
