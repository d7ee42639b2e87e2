"""Targets by schemes: what the layers become, or what the refusal says."""

from pathlib import Path

import numpy as np
import pytest

import edgepack
from edgepack.api.assess import why_float
from edgepack.api.lower import canonical, lower
from edgepack.api.lowered import tflite_file
from edgepack.api.options import ExportOptions
from edgepack.api.schemes import has_kernel
from edgepack.errors import BadInput, Unsupported
from edgepack.ir import DType
from edgepack.ir.text import parse
from edgepack.profiles import load_runtime, load_target
from edgepack.quantize.float_weights import quantize_dynamic, widen_weights
from edgepack.quantize.options import Precision
from edgepack.quantize.rounding import absorb_double_rounding
from edgepack.run.host import host_runtime
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.files import open_files
from edgepack.validation.interface import Interface
from edgepack.writers.tflite import write_tflite
from tests.small_models import save_tflite

NET = """
x: float32[1, 8, 8, 8] = input()
w1 = random(16, 3, 3, 8)
b1 = random(16)
c = Conv2d(x, w1, b1, stride=(2, 2), activation="relu")
w2 = random(1, 3, 3, 16)
d = DepthwiseConv2d(c, w2, b1)
w3 = random(10, 16)
m = ReduceMean(d, axes=(1, 2))
y = FullyConnected(m, w3)
output(y)
"""
MICRO, NPU, EDGE = "nucleo-l4r5zi", "corstone-300", "coral-edgetpu"
PI, JETSON = "raspberry-pi-4", "jetson-nano"
# (target, scheme): type of the convolution's weights, and of the input of --io int8 or float
MAKES = {
    (MICRO, "int8"): ("int8", "int8"),
    (MICRO, "int16x8"): ("int8", "int16"),
    (MICRO, "w4a8"): ("int4", "int8"),
    (MICRO, "none"): ("float32", "float"),
    (NPU, "int16x8"): ("int8", "int16"),
    (NPU, "w4a8"): ("int4", "int8"),  # by the processor beside it
    (EDGE, "int8"): ("int8", "int8"),
    (PI, "int16x8"): ("int8", "float"),
    (PI, "dynamic"): ("int8", "float"),
    (PI, "dynamic4"): ("int4", "float"),
    (PI, "blockwise4"): ("int4", "float"),  # per channel: blocks are for dense layers
    (PI, "fp16"): ("float32", "float"),  # widened from float16 by a Dequantize
    (PI, "bf16"): ("float32", "float"),  # by a Cast
    (JETSON, "w4a8"): ("int4", "float"),
    (JETSON, "dynamic4"): ("int4", "float"),
}
INTEGERS = "choose --quantize int8 or int16x8 or w4a8 or none"
REFUSED = {
    (MICRO, "dynamic"): INTEGERS,
    (MICRO, "dynamic4"): INTEGERS,
    (MICRO, "blockwise4"): INTEGERS,
    (MICRO, "fp16"): INTEGERS,
    (MICRO, "bf16"): INTEGERS,
    (NPU, "dynamic"): INTEGERS,
    (EDGE, "int16x8"): "choose --quantize int8",
    (EDGE, "w4a8"): "choose --quantize int8",
    (EDGE, "dynamic"): "choose --quantize int8",
    (EDGE, "fp16"): "choose --quantize int8",
    (EDGE, "none"): "choose --quantize int8",
}


def lowered(target: str, scheme: str, text: str = NET, **options):
    chosen = ExportOptions(quantize=scheme, **options)
    return lower(canonical(parse(text)), load_target(target), chosen)


def convolution(graph):
    return next(node for node in graph.nodes if node.op == "Conv2d")


@pytest.mark.parametrize(("target", "scheme"), MAKES)
def test_a_scheme_makes_what_it_says_and_litert_runs_it(target, scheme):
    made = lowered(target, scheme)
    weights, io = MAKES[target, scheme]
    assert (str(convolution(made.graph).input(1).dtype), made.quantization.io) == (weights, io)
    file = LiteRTRuntime(tflite_file(made.graph))
    given = np.zeros(file.inputs[0].shape, file.inputs[0].dtype.numpy)
    assert np.isfinite(file.run([given])[0]).all()


@pytest.mark.parametrize(("target", "scheme"), REFUSED)
def test_a_scheme_without_kernels_is_refused_with_the_remedy(target, scheme):
    with pytest.raises(Unsupported) as refusal:
        lowered(target, scheme)
    assert refusal.value.hint == REFUSED[target, scheme]
    assert refusal.value.findings
    assert scheme in refusal.value.message


def test_nothing_is_written_of_a_refused_scheme(tmp_path: Path):
    model = save_tflite(tmp_path)
    with pytest.raises(Unsupported):
        edgepack.export(model, MICRO, tmp_path / "out", quantize="dynamic")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("op", "attrs", "dtype"),
    [
        ("HardSwish", "", DType.INT16),
        ("Elu", "", DType.INT16),
        ("SpaceToDepth", ", block=2", DType.INT16),
        ("SpaceToBatch", ", block=(3, 3), pad=((0, 1), (1, 0))", DType.INT8),
    ],
)
def test_an_operator_without_the_kernel_stays_float(op, attrs, dtype):
    graph = parse(f"x: float32[1, 8, 8, 4] = input()\ny = {op}(x{attrs})\noutput(y)")
    answer = has_kernel(load_target(MICRO))
    assert not answer(graph.nodes[0], Precision(dtype))


LSTM = "\n".join(
    [
        "x: float32[1, 5, 8] = input()",
        *(f"w{i} = random(24, 8)" for i in range(4)),
        *(f"r{i} = random(24, 24)" for i in range(4)),
        *(f"b{i} = random(24)" for i in range(4)),
        "h = full(0.0, 1, 24)",
        "y = Lstm(x, w0, w1, w2, w3, r0, r1, r2, r3, None, None, None, b0, b1, b2, b3, None, None,"
        " h, h)",
        "output(y)",
    ]
)


@pytest.mark.parametrize("effort", [0, 1])
def test_a_16_bit_lstm_is_for_tensorflow_lite_micro(effort):
    pytest.importorskip("tflite_micro")
    x = np.random.default_rng(0).standard_normal((16, 5, 8)).astype(np.float32)
    made = lowered(MICRO, "int16x8", LSTM, calibration=x, effort=effort)
    (node,) = made.graph.nodes_of("Lstm")
    assert node.output.dtype is DType.INT16
    interface = Interface.of(made.graph)
    files, notes = open_files({"tflite": tflite_file(made.graph)}, interface, micro=True, threads=1)
    assert [file.key for file in files] == ["tflm"]
    assert notes == ["not run in LiteRT: it has no LSTM with 16-bit activations"]
    sample = {made.graph.inputs[0].name: x[:1]}
    fed, (got,) = files[0].run(sample)
    np.testing.assert_array_equal(got, ReferenceRuntime(made.graph).run(fed)[0])
    np.testing.assert_array_equal(got, host_runtime(made.graph).run(fed)[0])


def test_a_16_bit_lstm_stays_float_for_litert():
    made = lowered(PI, "int16x8", LSTM)
    (node,) = made.graph.nodes_of("Lstm")
    assert node.output.dtype is DType.FLOAT32
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in why_float(load_target(PI), node, "int16x8")


def test_an_operator_without_a_16_bit_kernel_stays_float_between_layers():
    text = NET.replace("m = ReduceMean(d,", "h = HardSwish(d)\nm = ReduceMean(h,")
    made = lowered(PI, "int16x8", text)
    kinds = {node.op: str(node.input(0).dtype) for node in made.graph.nodes}
    assert (kinds["HardSwish"], kinds["Conv2d"]) == ("float32", "int16")


@pytest.mark.parametrize("scheme", ["int8", "w4a8"])
def test_unsigned_inputs_and_outputs_stand_for_the_same_numbers(scheme):
    pytest.importorskip("tflite_micro")
    signed, unsigned = (lowered(MICRO, scheme, io=io).graph for io in ("int8", "uint8"))
    assert [str(v.dtype) for v in (*unsigned.inputs, *unsigned.outputs)] == ["uint8"] * 2
    assert [v.name for v in unsigned.inputs] == [v.name for v in signed.inputs]
    assert [v.name for v in unsigned.outputs] == [v.name for v in signed.outputs]
    x = np.random.default_rng(0).integers(-128, 128, signed.inputs[0].shape)
    (want,) = ReferenceRuntime(signed).run([x.astype(np.int8)])
    reference = ReferenceRuntime(unsigned)
    file = write_tflite(unsigned)
    micro = TflmRuntime(file, reference.inputs, reference.outputs)
    for runtime in (reference, micro):
        (got,) = runtime.run([(x + 128).astype(np.uint8)])
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got.astype(int) - 128, want)


@pytest.mark.parametrize(
    ("scheme", "io"), [("none", "uint8"), ("dynamic4", "int8"), ("int16x8", "uint8")]
)
def test_ends_that_contradict_the_scheme_are_refused(scheme, io):
    with pytest.raises(BadInput, match=f"--io {io} contradicts --quantize {scheme}"):
        lowered(PI, scheme, io=io)


def test_real_weights_where_the_runtime_has_no_hybrid_kernels():
    graph = parse(NET)
    want = ReferenceRuntime(graph.copy()).run([np.ones((1, 8, 8, 8), np.float32)])
    assert quantize_dynamic(graph) == 1  # the others are too small to gain
    (narrow,) = ReferenceRuntime(graph).run([np.ones((1, 8, 8, 8), np.float32)])
    assert widen_weights(graph, lambda node, dtype: False) == 1
    assert str(convolution(graph).input(1).dtype) == "float32"
    (real,) = ReferenceRuntime(graph).run([np.ones((1, 8, 8, 8), np.float32)])
    np.testing.assert_allclose(real, narrow, rtol=1e-5, atol=1e-5)
    assert not np.array_equal(real, want[0])


def test_four_bits_become_eight_where_the_runtime_has_no_such_kernel():
    graph = parse(NET.replace("w1 = random(16,", "w1 = random(16,"))
    assert quantize_dynamic(graph, DType.INT4, takes=lambda n, d: d is DType.INT8) == 1
    assert convolution(graph).input(1).dtype is DType.INT8


def test_outputs_are_no_longer_too_large_on_average():
    """A convolution with 4-bit weights and positive outputs, against exact arithmetic.

    Its channels' scales are spread over an octave: what is too much goes from half a unit to one.
    """
    scales = [round(0.08 * 2 ** (i / 8), 5) for i in range(8)]
    graph = parse(
        "x: int8[1, 24, 24, 16] @ q(0.02, -128) = input()\n"
        f"w: int4[8, 1, 1, 16] @ q({scales}, axis=0) = random()\n"
        f"b: int32[8] @ q({[0.02 * s for s in scales]}, axis=0) = full(900, 8)\n"
        'y: q(0.0128, -128) = Conv2d(x, w, b, activation="relu")\noutput(y)'
    )
    x = np.random.default_rng(0).integers(-128, 0, (1, 24, 24, 16)).astype(np.int8)

    def excess(changed):
        node = changed.nodes[0]
        (got,) = ReferenceRuntime(changed).run([x])
        sums = (x.astype(float) + 128) @ node.input(1).const.reshape(8, 16).T.astype(float) + 900
        exact = sums * (np.float32(scales) * 0.02 / 0.0128) - 128
        inside = (exact > -127) & (exact < 126)
        return abs(float((got - exact)[inside].mean()))

    before = excess(graph)
    assert absorb_double_rounding(graph) == 1
    assert excess(graph) < before / 2


def test_the_list_of_quantized_kernels_names_builtins():
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    known = vars(schema.BuiltinOperator)
    assert [op for op in load_runtime("litert").narrow or {} if op not in known] == []
