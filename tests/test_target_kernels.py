"""The list of TensorFlow Lite Micro kernels against the runtime itself, one tiny model per case."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
import pytest

from edgepack.profiles import load_target

DTYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool")
SHAPE = (1, 2, 2, 4)
POOL = {"strideH": 1, "strideW": 1, "filterHeight": 1, "filterWidth": 1, "padding": 1}
KEEP = {"keepDims": True}
# TFLite's scales where kernels insist on them: (input, output, output zero point).
SCALES = {
    ("SOFTMAX", "int8"): (0.1, 1 / 256, -128),
    ("SOFTMAX", "int16"): (10 / 65535, 1 / 32768, 0),
    ("LOGISTIC", "int8"): (0.1, 1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 4096, 1 / 32768, 0),
    ("LOG_SOFTMAX", "int8"): (0.1, 16 / 256, 127),
    ("TANH", "int8"): (0.1, 1 / 128, 0),
    ("TANH", "int16"): (1 / 4096, 1 / 32768, 0),
    ("L2_NORMALIZATION", "int8"): (0.1, 1 / 128, 0),
}


@dataclass(frozen=True)
class Case:
    """An operator's inputs after the first (an int32 constant, or None for another tensor)."""

    rest: tuple[Any, ...] = ()
    shape: tuple[int, ...] = SHAPE  # the output's
    dtype: str | None = None  # the output's, where it is not the input's
    options: str | None = None
    fields: tuple[tuple[str, Any], ...] = ()
    constants_first: bool = False


def case(*rest: Any, options: str | None = None, **more: Any) -> Case:
    fields = tuple(more.pop("fields", {}).items())
    return Case(rest, options=options, fields=fields, **more)


def reduction() -> Case:
    return case([1], shape=(1, 1, 2, 4), options="ReducerOptions", fields=KEEP)


UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGICAL_NOT", "LOGISTIC"),
    *("LOG_SOFTMAX", "NEG", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "ROUND", "RSQRT", "SIN"),
    *("SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "GELU"),
)
BINARY = ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", "ADD_N", "POW")
COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_PROD", "REDUCE_ANY")
CASES = {
    **{op: case() for op in UNARY},
    **{op: case(None) for op in BINARY},
    **{op: case(None, dtype="bool") for op in COMPARISONS},
    **{op: reduction() for op in REDUCTIONS},
    "SOFTMAX": case(options="SoftmaxOptions", fields={"beta": 1.0}),
    "LEAKY_RELU": case(options="LeakyReluOptions", fields={"alpha": 0.1}),
    "L2_NORMALIZATION": case(options="L2NormOptions"),
    "ADD": case(None, options="AddOptions"),
    "SUB": case(None, options="SubOptions"),
    "MUL": case(None, options="MulOptions"),
    "DIV": case(None, options="DivOptions"),
    "CONCATENATION": case(
        None, shape=(1, 4, 2, 4), options="ConcatenationOptions", fields={"axis": 1}
    ),
    "PACK": case(None, shape=(2, *SHAPE), options="PackOptions", fields={"valuesCount": 2}),
    "UNPACK": case(shape=SHAPE[1:], options="UnpackOptions", fields={"num": 1}),
    "SQUEEZE": case(shape=SHAPE[1:]),
    "EXPAND_DIMS": case([0], shape=(1, *SHAPE)),
    "TRANSPOSE": case([0, 2, 1, 3]),
    "PAD": case([[0, 0]] * 4),
    "GATHER": case([0], options="GatherOptions"),
    "REVERSE_V2": case([1]),
    "CUMSUM": case(1, options="CumsumOptions"),
    "TILE": case([1, 1, 1, 1]),
    "BROADCAST_TO": case(SHAPE),
    "RESIZE_BILINEAR": case([2, 2], options="ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": case([2, 2], options="ResizeNearestNeighborOptions"),
    "SLICE": case([0] * 4, SHAPE),
    "STRIDED_SLICE": case([0] * 4, SHAPE, [1] * 4, options="StridedSliceOptions"),
    "SPLIT": case(1, constants_first=True, options="SplitOptions", fields={"numSplits": 1}),
    "ARG_MAX": case(
        [3], shape=SHAPE[:3], dtype="int32", options="ArgMaxOptions", fields={"outputType": 2}
    ),
    "SHAPE": case(shape=(4,), dtype="int32", options="ShapeOptions", fields={"outType": 2}),
    "AVERAGE_POOL_2D": case(options="Pool2DOptions", fields=POOL),
    "MAX_POOL_2D": case(options="Pool2DOptions", fields=POOL),
    "SPACE_TO_DEPTH": case(options="SpaceToDepthOptions", fields={"blockSize": 1}),
    "DEPTH_TO_SPACE": case(options="DepthToSpaceOptions", fields={"blockSize": 1}),
}


class TinyModel:
    """A TFLite model of one operator, built with the schema's own object API."""

    def __init__(self, schema: ModuleType) -> None:
        self.schema = schema
        self.graph = schema.SubGraphT()
        self.graph.tensors = []
        self.buffers = [schema.BufferT()]

    def tensor(self, shape: Any, dtype: str, scale: float, zero_point: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.name = list(shape), f"t{len(self.graph.tensors)}"
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        if dtype in ("int8", "int16", "uint8"):
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, value: Any) -> int:
        array = np.asarray(value, np.int32)
        index = self.tensor(array.shape, "int32", 1.0)
        buffer = self.schema.BufferT()
        buffer.data = list(array.tobytes())
        self.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.buffers) - 1
        return index

    def serialize(self, op: str, spec: Case, inputs: list[int], output: int) -> bytes:
        schema = self.schema
        code, node, model = schema.OperatorCodeT(), schema.OperatorT(), schema.ModelT()
        code.builtinCode, code.version = getattr(schema.BuiltinOperator, op), 1
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        node.inputs, node.outputs = inputs, [output]
        if spec.options:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, spec.options)
            node.builtinOptions = getattr(schema, f"{spec.options}T")()
            for name, value in spec.fields:
                setattr(node.builtinOptions, name, value)
        self.graph.operators, self.graph.outputs = [node], [output]
        self.graph.inputs = [i for i in inputs if not self.graph.tensors[i].buffer]
        model.version, model.operatorCodes = 3, [code]
        model.subgraphs, model.buffers = [self.graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def tiny_model(schema: ModuleType, op: str, dtype: str) -> tuple[bytes, int]:
    """The model, and how many inputs it has."""
    spec, tiny = CASES[op], TinyModel(schema)
    scale, output_scale, zero_point = SCALES.get((op, dtype), (0.1, 0.1, 0))
    data = [tiny.tensor(SHAPE, dtype, scale) for rest in (None, *spec.rest) if rest is None]
    constants = [tiny.constant(rest) for rest in spec.rest if rest is not None]
    output = tiny.tensor(spec.shape, spec.dtype or dtype, output_scale, zero_point)
    inputs = constants + data if spec.constants_first else data + constants
    return tiny.serialize(op, spec, inputs, output), len(data)


def runs(schema: ModuleType, runtime: ModuleType, op: str, dtype: str) -> bool:
    model, inputs = tiny_model(schema, op, dtype)
    try:
        interpreter = runtime.Interpreter.from_bytes(model)
        for index in range(inputs):
            interpreter.set_input(np.ones(SHAPE, dtype), index)
        interpreter.invoke()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("op", CASES)
def test_the_table_says_what_the_runtime_runs(op: str) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    target = load_target("nucleo-l4r5zi")
    listed = [dtype for dtype in DTYPES if target.supports(op, dtype)]
    assert [dtype for dtype in DTYPES if runs(schema, runtime, op, dtype)] == listed
