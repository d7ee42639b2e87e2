"""What stands in the file: alignment, shared buffers, tables; and that it is always the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepack.errors import Unsupported
from edgepack.ir import DType, Graph, QuantParams
from edgepack.ir.text import parse
from edgepack.schema import tflite as fmt
from edgepack.writers.registry import Lowerings
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.names import builtins_of

NET = """
x: float32[1, 8, 8, 3] = input()
w = random(4, 3, 3, 3)
b = random(4)
c = Conv2d(x, w, b, activation="relu")
d = random(1, 3, 3, 4)
e = DepthwiseConv2d(c, d)
f = Reshape(e, shape=(1, 64))
g = random(5, 64)
y = FullyConnected(f, g)
output(y)
"""


def read(data: bytes) -> Any:
    schema = fmt.schema()
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def operators(data: bytes) -> list[tuple[str, int]]:
    """(builtin, version) of each operator in order."""
    model = read(data)
    names = {v: k for k, v in vars(fmt.schema().BuiltinOperator).items() if k.isupper()}
    codes = [model.operatorCodes[op.opcodeIndex] for op in model.subgraphs[0].operators]
    return [(names[code.builtinCode], code.version) for code in codes]


def tensors(data: bytes) -> dict[str, Any]:
    return {t.name.decode(): t for t in read(data).subgraphs[0].tensors}


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert write_tflite(parse(NET)) == write_tflite(parse(NET))
    assert write_tflite(parse(NET)) == write_tflite(parse(NET).copy())


def test_writing_leaves_the_graph_as_it_was() -> None:
    graph = parse(NET)
    users = {v.name: list(v.users) for v in graph.values()}
    first = write_tflite(graph)
    assert {v.name: list(v.users) for v in graph.values()} == users
    assert write_tflite(graph) == first


def test_the_identifier_and_schema_version() -> None:
    data = write_tflite(parse(NET))
    assert data[4:8] == fmt.IDENTIFIER
    assert read(data).version == 3


@pytest.mark.parametrize("sizes", [(1,), (3, 5), (7, 16, 33), (1000, 1, 17)])
def test_constants_start_at_multiples_of_16_bytes(sizes: tuple[int, ...]) -> None:
    graph = Graph()
    for size in sizes:
        x = graph.add_input("x", (size,))
        weights = graph.constant(np.full(size, size, np.float32))
        graph.outputs.append(graph.add("Add", [x, weights]))
    data = write_tflite(graph)
    model = fmt.schema().Model.GetRootAs(data, 0)
    starts = []
    for index in range(model.BuffersLength()):
        content = model.Buffers(index).DataAsNumpy()
        if isinstance(content, np.ndarray):
            starts.append(content.ctypes.data - np.frombuffer(data, np.uint8).ctypes.data)
    assert len(starts) == len(sizes)
    assert all(start % 16 == 0 for start in starts)


def test_equal_constants_share_a_buffer_and_different_ones_do_not() -> None:
    graph = Graph()
    x = graph.add_input("x", (100,))
    middle = np.zeros(100, np.float32)
    middle[50] = 1  # the same size and ends as zeros
    for data in (np.zeros(100, np.float32), np.zeros(100, np.float32), middle):
        x = graph.add("Add", [x, graph.constant(data, "c")])
    graph.outputs = [x]
    written = tensors(write_tflite(graph))
    first, second, third = (written[name].buffer for name in ("c", "c_1", "c_2"))
    assert first == second != third


def test_the_file_is_hardly_larger_than_its_constants() -> None:
    graph = parse(NET)
    size = sum(v.nbytes for v in graph.constants())
    assert size < len(write_tflite(graph)) < size + 4096


def test_int4_is_packed_low_half_first() -> None:
    graph = Graph()
    x = graph.add_input("x", (1, 3), DType.INT8)
    x.quant = QuantParams.per_tensor(0.5)
    w = graph.constant(np.array([[1, -2, 3]], np.int8), "w", QuantParams.per_channel([0.25], 0))
    w.dtype = DType.INT4
    y = graph.add("FullyConnected", [x, w])
    y.quant = QuantParams.per_tensor(1.0)
    graph.outputs = [y]
    data = write_tflite(graph)
    content = read(data).buffers[tensors(data)["w"].buffer].data
    assert list(content) == [0xE1, 0x03]
    assert operators(data) == [("FULLY_CONNECTED", 10)]


def test_parameters_are_written_per_channel() -> None:
    graph = parse(
        """
        x: int8[1, 5, 5, 2] @ q(0.5, -3) = input()
        w: int8[3, 3, 3, 2] @ q([0.1, 0.2, 0.3], axis=0) = random()
        y: q(0.25, 7) = Conv2d(x, w)
        output(y)
    """.replace("        ", "")
    )
    written = tensors(write_tflite(graph))
    w, bias = written["w"].quantization, written["y/bias"]
    np.testing.assert_array_equal(w.scale, np.array([0.1, 0.2, 0.3], np.float32))
    assert (list(w.zeroPoint), w.quantizedDimension) == ([0, 0, 0], 0)
    assert written["x"].quantization.zeroPoint == [-3]
    assert bias.type == fmt.schema().TensorType.INT32
    np.testing.assert_allclose(bias.quantization.scale, [0.05, 0.1, 0.15], rtol=1e-6)


def test_absent_inputs_are_left_out_at_the_end_and_marked_in_between() -> None:
    graph = parse("x: float32[1, 4] = input()\nw = random(2, 4)\ny = FullyConnected(x, w, None)\n"
                  "output(y)")  # fmt: skip
    assert len(read(write_tflite(graph)).subgraphs[0].operators[0].inputs) == 2


def test_the_signature_names_inputs_and_outputs() -> None:
    (signature,) = read(write_tflite(parse(NET))).signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [entry.name for entry in signature.inputs] == [b"x"]
    assert [entry.name for entry in signature.outputs] == [b"y"]


def test_operators_above_127_carry_the_placeholder_for_old_readers() -> None:
    graph = parse("x: float32[4] = input()\ny = Gelu(x)\nz = Relu(y)\noutput(z)")
    codes = read(write_tflite(graph)).operatorCodes
    gelu, relu = fmt.schema().BuiltinOperator.GELU, fmt.schema().BuiltinOperator.RELU
    assert [(c.builtinCode, c.deprecatedBuiltinCode) for c in codes] == [(gelu, 127), (relu, relu)]


def test_all_operators_without_a_builtin_are_named_at_once() -> None:
    graph = parse("x: float32[4] = input()\ny = Erf(x)\nz = Clip(y, min=0, max=1)\noutput(z)")
    with pytest.raises(Unsupported) as caught:
        write_tflite(graph)
    assert [(f.node, f.op) for f in caught.value.findings] == [("y", "Erf"), ("z", "Clip")]


def test_one_operator_has_one_lowering() -> None:
    table: Lowerings[list[str]] = Lowerings("toy")
    table("Relu")(lambda node, out: None)
    with pytest.raises(Exception, match="Relu has two toy lowerings"):
        table("Relu")(lambda node, out: None)


def test_an_unknown_option_is_a_mistake_of_the_lowering() -> None:
    from edgepack.writers.tflite.builder import TFLiteBuilder

    graph = parse("x: float32[4] = input()\ny = Relu(x)\noutput(y)")
    out = TFLiteBuilder(graph)
    with pytest.raises(AttributeError, match="SoftmaxOptions has no member gamma"):
        out.emit("SOFTMAX", graph.nodes[0], options="SoftmaxOptions", gamma=1.0)


@pytest.mark.parametrize(
    ("line", "builtins"),
    [
        ("y = Slice(x, begin=(0, 0), size=(1, 4), stride=(1, 1))", ("SLICE",)),
        ("y = Slice(x, begin=(0, 3), size=(1, 4), stride=(1, -1))", ("STRIDED_SLICE",)),
        ("y = Pad(x, pads=((0, 0), (1, 1)))", ("PAD",)),
        ("y = Pad(x, pads=((0, 0), (1, 1)), value=1.0)", ("PADV2",)),
        ("y = Pad(x, pads=((0, 0), (1, 1)), mode='reflect')", ("MIRROR_PAD",)),
        ("y = Erf(x)", ()),
    ],
)
def test_the_builtins_of_a_node_are_told_without_writing(
    line: str, builtins: tuple[str, ...]
) -> None:
    graph = parse(f"x: float32[1, 4] = input()\n{line}\noutput(y)")
    assert builtins_of(graph.nodes[0]) == builtins
