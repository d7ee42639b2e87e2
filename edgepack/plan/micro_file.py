"""A .tflite file as TensorFlow Lite Micro sees it: every tensor in its table, used or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.errors import BadModel
from edgepack.plan.micro_model import MicroModel, MicroOp, MicroTensor, Option
from edgepack.schema import decode
from edgepack.schema.tflite import IDENTIFIER, dtype_of, same_padding, schema

_OFFLINE_PLAN = "OfflineMemoryAllocation"


def micro_model_from_file(data: bytes) -> MicroModel:
    """The main subgraph of a .tflite file.

    Raises BadModel for files that are not TFLite, have control flow or types that no
    microcontroller kernel takes.
    """
    if data[4:8] != IDENTIFIER:
        raise BadModel("not a TensorFlow Lite file")
    model = schema().ModelT.InitFromPackedBuf(data, 0)
    if len(model.subgraphs) != 1:
        raise BadModel(
            f"the model has {len(model.subgraphs)} subgraphs",
            hint="export it without control flow",
        )
    graph = model.subgraphs[0]
    offsets = _offline_offsets(model)
    tensors = tuple(
        _tensor(t, model.buffers, offsets[i] if offsets else None)
        for i, t in enumerate(graph.tensors)
    )
    names = _kind_names()
    kinds = [_kind(code, names) for code in model.operatorCodes]

    def content(tensor: int) -> Any:
        return model.buffers[graph.tensors[tensor].buffer].data

    ops = tuple(_op(kinds[op.opcodeIndex], op, tensors, content) for op in graph.operators or ())
    return MicroModel(tensors, ops, _indices(graph.inputs), _indices(graph.outputs))


def _indices(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(v) for v in values)


def _kind(code: Any, names: dict[int, str]) -> str:
    kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return _text(code.customCode) if kind == "CUSTOM" else kind


def _kind_names() -> dict[int, str]:
    members = vars(schema().BuiltinOperator).items()
    return {code: name for name, code in members if isinstance(code, int)}


def _text(name: bytes | str | None) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""


def _tensor(tensor: Any, buffers: Any, offset: int | None) -> MicroTensor:
    name = _text(tensor.name)
    try:
        dtype = dtype_of(tensor.type)
    except KeyError:
        raise BadModel(f"tensor type {tensor.type} is not for microcontrollers", at=name) from None
    content = buffers[tensor.buffer].data
    quant = tensor.quantization
    scaled = quant is not None and quant.scale is not None and quant.zeroPoint is not None
    return MicroTensor(
        name,
        _indices(tensor.shape),
        dtype,
        constant=content is not None and len(content) > 0,
        variable=bool(tensor.isVariable),
        scales=len(quant.scale) if scaled else 0,
        offline_offset=None if offset == -1 else offset,
    )


def _offline_offsets(model: Any) -> list[int] | None:
    """Offsets from Vela's metadata: version, subgraph, count, then one offset for each tensor."""
    for entry in model.metadata or ():
        if _text(entry.name) == _OFFLINE_PLAN:
            words = np.asarray(model.buffers[entry.buffer].data, np.uint8).view(np.int32)
            return [int(w) for w in words[3:]]
    return None


def _op(
    kind: str, op: Any, tensors: tuple[MicroTensor, ...], content: Callable[[int], Any]
) -> MicroOp:
    inputs, outputs = _indices(op.inputs), _indices(op.outputs)
    name = tensors[outputs[0]].name if outputs else kind
    if kind == decode.OPERATOR:
        kinds = {f"coding_{i}": decode.coding_of(content(t)) for i, t in enumerate(inputs[1::2])}
        return MicroOp(name, kind, inputs, outputs, kinds)
    return MicroOp(name, kind, inputs, outputs, _options(op, inputs, outputs, tensors))


def _options(
    op: Any, inputs: tuple[int, ...], outputs: tuple[int, ...], tensors: tuple[MicroTensor, ...]
) -> dict[str, Option]:
    raw = op.builtinOptions
    found: dict[str, Option] = {}
    for ours, theirs in (
        ("stride_h", "strideH"),
        ("stride_w", "strideW"),
        ("dilation_h", "dilationHFactor"),
        ("dilation_w", "dilationWFactor"),
        ("adj_x", "adjX"),
        ("adj_y", "adjY"),
    ):
        if hasattr(raw, theirs):
            found[ours] = int(getattr(raw, theirs))
    windowed = "dilation_h" in found and len(inputs) > 1 and len(tensors[inputs[1]].shape) == 4
    if windowed and raw.padding == schema().Padding.SAME:
        data, weights = tensors[inputs[0]].shape, tensors[inputs[1]].shape
        for axis, side in ((1, "h"), (2, "w")):
            stride, dilation = int(found[f"stride_{side}"]), int(found[f"dilation_{side}"])
            found[f"pad_{side}"], _ = same_padding(data[axis], weights[axis], stride, dilation)
    return found
