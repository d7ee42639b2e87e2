"""Reading TFLite files: what a graph keeps, what is derived, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepack.errors import BadInput, BadModel, EdgepackError, Unsupported
from edgepack.ir import DType
from edgepack.ir.text import parse, to_text
from edgepack.readers.options import ReadOptions
from edgepack.readers.tflite import read_tflite
from edgepack.readers.tflite.registry import ROWS
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.schema.tflite import schema
from edgepack.writers.tflite import write_tflite
from tests.op_cases import CASES
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.readers.tflite_edit import edited, options_of


def written(cases: dict[str, Any]) -> dict[str, bytes]:
    """The file of each case that TFLite has an operator for."""
    files = {}
    for name, case in cases.items():
        try:
            files[name] = write_tflite(case.graph())
        except EdgepackError:
            continue
    return files


FLOAT_FILES = written(CASES)
QUANTIZED_FILES = written(QUANTIZED_CASES)


@pytest.mark.parametrize("name", QUANTIZED_FILES)
def test_a_quantized_graph_comes_back_bit_for_bit(name: str) -> None:
    case = QUANTIZED_CASES[name]
    graph = read_tflite(QUANTIZED_FILES[name])
    inputs = case.inputs(0)
    want = ReferenceRuntime(case.graph()).run(inputs)
    for g, w in zip(ReferenceRuntime(graph).run(inputs), want, strict=True):
        np.testing.assert_array_equal(g, w)
    for ours, source in zip(graph.outputs, case.graph().outputs, strict=True):
        assert (ours.shape, ours.dtype, ours.quant) == (source.shape, source.dtype, source.quant)


@pytest.mark.parametrize("name", FLOAT_FILES)
def test_a_float_graph_comes_back(name: str) -> None:
    case = CASES[name]
    graph = read_tflite(FLOAT_FILES[name])
    inputs = case.inputs()
    want = ReferenceRuntime(case.graph()).run(inputs)
    for g, w in zip(ReferenceRuntime(graph).run(inputs), want, strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=1e-6, atol=1e-7)  # another order of additions


@pytest.mark.parametrize("name", [*QUANTIZED_FILES, *FLOAT_FILES])
def test_writing_what_was_read_gives_the_same_file_again(name: str) -> None:
    first = write_tflite(read_tflite({**QUANTIZED_FILES, **FLOAT_FILES}[name]))
    assert write_tflite(read_tflite(first)) == first


def test_names_shapes_and_parameters_are_kept() -> None:
    text = """
        image: int8[1, 4, 4, 2] @ q(0.5, 3) = input()
        w: int8[3, 1, 1, 2] @ q([0.25, 0.125, 0.5], axis=0) = random()
        b: int32[3] @ q([0.125, 0.0625, 0.25], axis=0) = const([1, 2, 3])
        y: q(0.75, -4) = Conv2d(image, w, b)
        output(y)
    """
    graph = parse("\n".join(line.strip() for line in text.strip().splitlines()))
    assert to_text(read_tflite(write_tflite(graph))) == to_text(graph)


def test_hybrid_weights_stay_integers() -> None:
    text = (
        "x: float32[2, 4] = input()\nw: int8[3, 4] @ q(0.1, 0) = random()\n"
        "y = FullyConnected(x, w)\noutput(y)"
    )
    graph = read_tflite(write_tflite(parse(text)))
    weights = graph.nodes_of("FullyConnected")[0].input(1)
    assert weights.dtype is DType.INT8
    assert weights.quant is not None


def test_half_precision_weights_become_float32() -> None:
    def halve(model: Any) -> None:
        """Weights as float16, and a DEQUANTIZE before the operator that reads them."""
        s, graph = schema(), model.subgraphs[0]
        fully = graph.operators[0]
        wide = graph.tensors[fully.inputs[1]]
        half = s.TensorT()
        half.name, half.shape, half.type = b"half", wide.shape, s.TensorType.FLOAT16
        half.buffer, wide.buffer = wide.buffer, 0
        data = np.asarray(model.buffers[half.buffer].data, np.uint8).view(np.float32)
        model.buffers[half.buffer].data = data.astype(np.float16).view(np.uint8)
        graph.tensors.append(half)
        code = s.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.DEQUANTIZE
        code.version = 3
        model.operatorCodes.append(code)
        widen = s.OperatorT()
        widen.opcodeIndex = len(model.operatorCodes) - 1
        widen.inputs, widen.outputs = [len(graph.tensors) - 1], [fully.inputs[1]]
        graph.operators.insert(0, widen)

    text = "x: float32[2, 4] = input()\nw = random(3, 4)\ny = FullyConnected(x, w)\noutput(y)"
    model = edited(write_tflite(parse(text)), halve)
    graph = read_tflite(model)
    assert [node.op for node in graph.nodes] == ["FullyConnected"]
    x = [np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)]
    want = LiteRTRuntime(model, reference_kernels=True).run(x)
    got = LiteRTRuntime(write_tflite(graph), reference_kernels=True).run(x)
    np.testing.assert_array_equal(got[0], want[0])


def test_int4_weights_are_unpacked() -> None:
    text = (
        "x: int8[2, 5] @ q(0.1, 0) = input()\n"
        "w: int4[3, 5] @ q(0.1, 0) = "
        "const([[-8, 7, 1, 0, -1], [2, 3, 4, 5, 6], [-2, -3, -4, 1, 1]])\n"
        "y: q(0.5, 0) = FullyConnected(x, w)\noutput(y)"
    )
    weights = read_tflite(write_tflite(parse(text))).nodes[0].input(1)
    assert weights.dtype is DType.INT4
    assert weights.const.tolist()[0] == [-8, 7, 1, 0, -1]


# -- shapes ----------------------------------------------------------------------------------------

TWO_LAYERS = (
    "x: float32[1, 4, 4, 2] = input()\nw = random(3, 2, 2, 2)\na = Conv2d(x, w, stride=(2, 2))\n"
    "f = Reshape(a, shape=(1, 12))\nv = random(5, 12)\ny = FullyConnected(f, v)\noutput(y)"
)


def test_a_given_shape_reaches_every_value() -> None:
    graph = read_tflite(write_tflite(parse(TWO_LAYERS)), ReadOptions({"x": (3, 4, 4, 2)}))
    assert [v.shape for v in graph.outputs] == [(3, 5)]
    assert graph.nodes_of("Reshape")[0].output.shape == (3, 12)


def test_the_empty_name_means_the_only_input() -> None:
    graph = read_tflite(write_tflite(parse(TWO_LAYERS)), ReadOptions({"": (2, 4, 4, 2)}))
    assert graph.inputs[0].shape == (2, 4, 4, 2)


def test_an_unknown_input_is_named() -> None:
    with pytest.raises(BadInput, match="names 'z'") as caught:
        read_tflite(write_tflite(parse(TWO_LAYERS)), ReadOptions({"z": (2, 4, 4, 2)}))
    assert "the model has x" in str(caught.value)


def dynamic(*signature: int) -> Any:
    def edit(model: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = list(signature)

    return edit


def test_a_dynamic_batch_becomes_one() -> None:
    model = edited(write_tflite(parse(TWO_LAYERS)), dynamic(-1, 4, 4, 2))
    assert read_tflite(model).inputs[0].shape == (1, 4, 4, 2)


def test_other_dynamic_dimensions_must_be_given() -> None:
    model = edited(write_tflite(parse(TWO_LAYERS)), dynamic(-1, -1, -1, 2))
    with pytest.raises(BadInput, match="unknown dimensions: number 1, number 2") as caught:
        read_tflite(model)
    assert "--input-shape" in str(caught.value)
    assert read_tflite(model, ReadOptions({"x": (1, 4, 4, 2)})).outputs[0].shape == (1, 5)


def test_shape_arithmetic_is_folded() -> None:
    """SHAPE, STRIDED_SLICE, PACK, RESHAPE: how Keras flattens a dynamic batch."""

    def flatten(model: Any) -> None:
        s, graph = schema(), model.subgraphs[0]
        reshape = next(o for o in graph.operators if len(o.inputs) == 2 and len(o.outputs) == 1
                       and graph.tensors[o.outputs[0]].name == b"f")  # fmt: skip
        names = {t.name: i for i, t in enumerate(graph.tensors)}

        def tensor(name: bytes, shape: list[int], content: list[int] | None = None) -> int:
            t = s.TensorT()
            t.name, t.shape, t.type, t.buffer = name, shape, s.TensorType.INT32, 0
            if content is not None:
                buffer = s.BufferT()
                buffer.data = np.array(content, np.int32).view(np.uint8)
                model.buffers.append(buffer)
                t.buffer = len(model.buffers) - 1
            graph.tensors.append(t)
            return len(graph.tensors) - 1

        def operator(builtin: str, inputs: list[int], output: int) -> Any:
            code = s.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(s.BuiltinOperator, builtin)
            code.version = 1
            model.operatorCodes.append(code)
            op = s.OperatorT()
            op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, inputs, [output]
            return op

        shape, batch, wanted = tensor(b"s", [4]), tensor(b"n", []), tensor(b"t", [2])
        ends = [tensor(bytes(f"k{i}", "ascii"), [1], [i]) for i in (0, 1)]
        step, rest = tensor(b"st", [1], [1]), tensor(b"rest", [], [12])
        cut = operator("STRIDED_SLICE", [shape, *ends, step], batch)
        cut.builtinOptionsType, cut.builtinOptions = options_of("StridedSliceOptions")
        cut.builtinOptions.shrinkAxisMask = 1
        pack = operator("PACK", [batch, rest], wanted)
        pack.builtinOptionsType, pack.builtinOptions = options_of("PackOptions")
        pack.builtinOptions.valuesCount = 2
        new = [operator("SHAPE", [names[b"a"]], shape), cut, pack]
        at = graph.operators.index(reshape)
        graph.operators[at:at] = new
        reshape.inputs = [reshape.inputs[0], wanted]
        reshape.builtinOptionsType, reshape.builtinOptions = 0, None

    model = edited(write_tflite(parse(TWO_LAYERS)), flatten)
    graph = read_tflite(model, ReadOptions({"x": (3, 4, 4, 2)}))
    assert [node.op for node in graph.nodes] == ["Conv2d", "Reshape", "FullyConnected"]
    assert graph.outputs[0].shape == (3, 5)


# -- variables -------------------------------------------------------------------------------------


def keep_as_variable(model: Any) -> None:
    """Input `h` becomes a variable that `kept` is assigned to."""
    s, graph = schema(), model.subgraphs[0]
    names = {t.name: i for i, t in enumerate(graph.tensors)}
    handle = s.TensorT()
    handle.name, handle.shape, handle.type, handle.buffer = b"handle", [], s.TensorType.RESOURCE, 0
    graph.tensors.append(handle)
    at = len(graph.tensors) - 1

    def operator(builtin: str, inputs: list[int], outputs: list[int]) -> Any:
        code = s.OperatorCodeT()
        code.builtinCode, code.version = getattr(s.BuiltinOperator, builtin), 1
        code.deprecatedBuiltinCode = 127
        model.operatorCodes.append(code)
        op = s.OperatorT()
        op.opcodeIndex = len(model.operatorCodes) - 1
        op.inputs, op.outputs = inputs, outputs
        return op

    make = operator("VAR_HANDLE", [], [at])
    make.builtinOptionsType, make.builtinOptions = options_of("VarHandleOptions")
    make.builtinOptions.container, make.builtinOptions.sharedName = "", "total"
    graph.operators[:0] = [make, operator("READ_VARIABLE", [at], [names[b"h"]])]
    graph.operators.insert(3, operator("ASSIGN_VARIABLE", [at, names[b"kept"]], []))
    graph.inputs = [names[b"x"]]
    model.signatureDefs = []


def test_a_variable_becomes_an_input_and_an_output() -> None:
    text = (
        "x: float32[1, 3] = input()\nh: float32[1, 3] = input()\nkept = Mul(x, x)\n"
        "y = Add(kept, h)\noutput(y)"
    )
    model = edited(write_tflite(parse(text)), keep_as_variable)
    graph = read_tflite(model)
    assert [v.name for v in graph.inputs] == ["x", "total"]
    assert [v.name for v in graph.outputs] == ["y", "kept"]
    litert, reference = LiteRTRuntime(model), ReferenceRuntime(graph)
    state = np.zeros((1, 3), np.float32)
    for step in range(4):
        x = np.full((1, 3), step + 0.5, np.float32)
        (want,) = litert.run([x])
        got, state = reference.run([x, state])
        if step:  # in its first run LiteRT reads what nobody has set
            np.testing.assert_array_equal(got, want)


# -- refusals --------------------------------------------------------------------------------------


def test_every_unknown_operator_is_listed() -> None:
    def rename(model: Any) -> None:
        s = schema()
        codes = model.operatorCodes
        codes[0].builtinCode = codes[0].deprecatedBuiltinCode = s.BuiltinOperator.CUSTOM
        codes[0].customCode = b"MyPool"
        codes[1].builtinCode, codes[1].deprecatedBuiltinCode = s.BuiltinOperator.WHILE, 119

    text = "x: float32[1, 4] = input()\na = Relu(x)\nb = Tanh(a)\ny = Sigmoid(b)\noutput(y)"
    with pytest.raises(Unsupported) as caught:
        read_tflite(edited(write_tflite(parse(text)), rename))
    assert [(f.op, f.node) for f in caught.value.findings] == [
        ("CUSTOM MyPool", "a"),
        ("WHILE", "b"),
    ]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("shape", "declared as"),
        ("index", "a tensor that is not there"),
        ("order", "before anything makes it"),
        ("twice", "made twice"),
        ("scale", "finite and greater than zero"),
        ("zero point", "outside int8"),
        ("buffer", "takes 12 bytes"),
        ("nan", "NaN"),
    ],
)
def test_contradictions_are_told(edit: str, message: str) -> None:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        first, second = graph.operators
        if edit == "shape":
            graph.tensors[second.outputs[0]].shape = [2, 3]
        elif edit == "index":
            first.inputs = [99]
        elif edit == "order":
            graph.operators = [second, first]
        elif edit == "twice":
            second.outputs = first.outputs
        elif edit == "scale":
            graph.tensors[0].quantization.scale = [0.0]
        elif edit == "zero point":
            graph.tensors[0].quantization.zeroPoint = [300]
        elif edit == "buffer":
            model.buffers[graph.tensors[second.inputs[1]].buffer].data = [1, 2, 3]
        elif edit == "nan":
            table = graph.tensors[second.inputs[1]]
            table.type, table.quantization = schema().TensorType.FLOAT32, None
            model.buffers[table.buffer].data = np.full(12, np.nan, np.float32).view(np.uint8)

    text = (
        "x: int8[1, 4] @ q(0.5, 3) = input()\na: q(0.5, 3) = Relu(x)\n"
        "w: int8[3, 4] @ q(0.1, 0) = random()\ny: q(0.5, 0) = FullyConnected(a, w)\noutput(y)"
    )
    with pytest.raises(BadModel, match=message):
        read_tflite(edited(write_tflite(parse(text)), change))


def test_every_row_is_a_builtin() -> None:
    builtins = vars(schema().BuiltinOperator)
    custom = [name for name in ROWS if name not in builtins]
    assert custom == ["CUSTOM TFLM_DECODE"]


def test_every_builtin_that_is_written_can_be_read() -> None:
    s = schema()
    names = {v: k for k, v in vars(s.BuiltinOperator).items() if isinstance(v, int)}
    used = set()
    for data in (*FLOAT_FILES.values(), *QUANTIZED_FILES.values()):
        model = s.ModelT.InitFromPackedBuf(data, 0)
        used |= {names[code.builtinCode] for code in model.operatorCodes}
    assert used - set(ROWS) == set()
