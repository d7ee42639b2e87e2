"""Small .tflite files made by hand, for comparing the planner with TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


@dataclass
class Tensor:
    """`data` makes it a constant; `scale` may be a list of channels' scales along `axis`."""

    shape: Sequence[int]
    dtype: str = "int8"
    data: Any = None
    scale: Any = None
    zero: int = 0
    axis: int = 0
    variable: bool = False


@dataclass
class Op:
    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_class: str = ""


def build(
    tensors: Mapping[str, Tensor], ops: Sequence[Op], inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    """The bytes of a model with one subgraph; an input named "" is left out."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    index = {name: i for i, name in enumerate(tensors)}
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(name, t, model.buffers) for name, t in tensors.items()]
    kinds = sorted({op.kind for op in ops})
    model.operatorCodes = [_code(kind) for kind in kinds]
    graph.operators = [_operator(op, kinds, index) for op in ops]
    graph.inputs = [index[name] for name in inputs]
    graph.outputs = [index[name] for name in outputs]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, tensor: Tensor, buffers: list[Any]) -> Any:
    out = schema.TensorT()
    out.name = name
    out.shape = list(tensor.shape)
    out.type = getattr(schema.TensorType, tensor.dtype.upper())
    out.isVariable = tensor.variable
    out.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
        buffers.append(buffer)
        out.buffer = len(buffers) - 1
    if tensor.scale is not None:
        out.quantization = quant = schema.QuantizationParametersT()
        quant.scale = np.atleast_1d(np.asarray(tensor.scale, np.float32))
        quant.zeroPoint = np.full(quant.scale.shape, tensor.zero, np.int64)
        quant.quantizedDimension = tensor.axis
    return out


def _code(kind: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 1
    return code


def _operator(op: Op, kinds: list[str], index: Mapping[str, int]) -> Any:
    out = schema.OperatorT()
    out.opcodeIndex = kinds.index(op.kind)
    out.inputs = [index[name] if name else -1 for name in op.inputs]
    out.outputs = [index[name] for name in op.outputs]
    if op.options_class:
        out.builtinOptionsType = getattr(schema.BuiltinOptions, op.options_class)
        out.builtinOptions = getattr(schema, f"{op.options_class}T")()
        for key, value in op.options.items():
            setattr(out.builtinOptions, key, value)
    return out
