"""The integer LSTM: against the float one, the runtimes, and itself when it is run again."""

import numpy as np
import pytest

from edgepack.calibrate.prepare import prepare
from edgepack.ir import DType, Graph
from edgepack.ir.check import check
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.recurrent import cell_name, is_quantizable_lstm
from edgepack.readers.tflite import read_tflite
from edgepack.run.base import TensorInfo
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.interface import Interface
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite
from tests.noise import sqnr_db

TIME, SIZE, UNITS = 12, 6, 16


def lstm(*, time_major=False, peepholes=False, scale=0.5):
    rng = np.random.default_rng(3)

    def const(*shape):
        return graph.constant((rng.normal(size=shape) * scale).astype(np.float32))

    graph = Graph()
    x = graph.add_input("x", (TIME, 1, SIZE) if time_major else (1, TIME, SIZE))
    inputs = [x, *(const(UNITS, SIZE) for _ in range(4)), *(const(UNITS, UNITS) for _ in range(4))]
    inputs += [const(UNITS) if peepholes else None for _ in range(3)]
    inputs += [const(UNITS) for _ in range(4)] + [None, None]
    inputs += [graph.constant(np.zeros((1, UNITS), np.float32)) for _ in range(2)]
    graph.outputs.append(graph.add("Lstm", inputs, {"time_major": time_major}, name="y"))
    return graph


def samples_of(graph):
    rng = np.random.default_rng(1)
    return [[rng.normal(size=graph.inputs[0].shape).astype(np.float32)] for _ in range(30)]


def quantized(graph, samples, activations=DType.INT8):
    """The graph with the step that empties states, float and in integers."""
    legalize_tflite(graph)
    precision = Precision(activations)
    prepared = prepare(graph, samples, samples, precision=precision)
    result = graph.copy()
    quantize_nearest(result, prepared.seen, QuantizeOptions(precision))
    check(result)
    return graph, result, prepared.seen


def run(runtime, graph, samples):
    interface = Interface.of(graph)
    feeds = (interface.encoded({"x": sample[0]}, "graph") for sample in samples)
    return [interface.decoded(runtime.run(feed), "graph")[0] for feed in feeds]


CASES = {"batch first": {}, "time first": {"time_major": True}}


@pytest.mark.parametrize("case", CASES)
def test_int8_stays_close_to_float(case):
    samples = samples_of(lstm(**CASES[case]))
    expected = [ReferenceRuntime(lstm(**CASES[case])).run(sample)[0] for sample in samples]
    real, result, seen = quantized(lstm(**CASES[case]), samples)
    (node,) = result.nodes_of("Lstm")
    assert node.output.dtype is DType.INT8
    assert node.input(19).dtype is DType.INT16
    largest = max(-seen[cell_name(node)].low, seen[cell_name(node)].high)
    full = float(node.input(19).quant.scale[0]) * 2**15
    assert largest <= full <= 2 * largest  # the next power of two
    assert np.log2(full) % 1 == 0
    found = run(ReferenceRuntime(result), result, samples)
    assert sqnr_db(expected, found) > 29
    again = run(ReferenceRuntime(real), real, samples)
    assert sqnr_db(expected, again) > 100  # the emptying step shows nowhere else


def test_int16_is_closer():
    samples = samples_of(lstm())
    expected = [ReferenceRuntime(lstm()).run(sample)[0] for sample in samples]
    _, result, _ = quantized(lstm(), samples, DType.INT16)
    (node,) = result.nodes_of("Lstm")
    kinds = [str(node.input(i).dtype) for i in (0, 1, 5, 12, 18, 19)]
    assert kinds == ["int16", "int8", "int8", "int64", "int16", "int16"]
    assert sqnr_db(expected, run(ReferenceRuntime(result), result, samples)) > 35


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
def test_micro_gives_the_same_bits_and_every_run_starts_empty(dtype):
    pytest.importorskip("tflite_micro")
    samples = samples_of(lstm())
    _, result, _ = quantized(lstm(), samples, dtype)
    expected = run(ReferenceRuntime(result), result, samples)
    ports = ([TensorInfo(v.name, v.shape, v.dtype, v.quant) for v in side]
             for side in (result.inputs, result.outputs))  # fmt: skip
    runtime = TflmRuntime(write_tflite(result), *ports)
    interface = Interface.of(result)
    feeds = [interface.encoded({"x": sample[0]}, "graph") for sample in samples]
    found = [runtime.run(feed)[0] for feed in feeds]
    stored = [result.outputs[0].quant.quantize(y, dtype) for y in expected]
    apart = [np.abs(a.astype(int) - b).max() for a, b in zip(found, stored, strict=True)]
    assert max(apart) == 0


def test_states_that_are_kept_between_runs_do_not_show():
    from ai_edge_litert.interpreter import Interpreter

    samples = samples_of(lstm())
    _, result, _ = quantized(lstm(), samples)
    runtime = Interpreter(model_content=write_tflite(result))
    runtime.allocate_tensors()
    interface = Interface.of(result)
    index, out = runtime.get_input_details()[0]["index"], runtime.get_output_details()[0]["index"]
    found = []
    for _ in range(2):  # the second time after all the others, without a reset
        for sample in samples[:8]:
            (feed,) = interface.encoded({"x": sample[0]}, "graph")
            runtime.set_tensor(index, feed)
            runtime.invoke()
            found.append(runtime.get_tensor(out).astype(int))
    first, second = np.stack(found[:8]), np.stack(found[8:])
    assert np.abs(first - second).max() <= 1


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
def test_a_file_is_read_back_as_it_was(dtype):
    samples = samples_of(lstm())
    _, result, _ = quantized(lstm(), samples, dtype)
    again = read_tflite(write_tflite(result))
    x = Interface.of(result).encoded({"x": samples[0][0]}, "graph")
    (want,), (got,) = ReferenceRuntime(result).run(x), ReferenceRuntime(again).run(x)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
def test_onnx_runs_it(dtype):
    samples = samples_of(lstm())
    _, result, _ = quantized(lstm(), samples, dtype)
    expected = run(ReferenceRuntime(result), result, samples)
    portable = result.copy()
    legalize_onnx(portable)
    found = run(OrtRuntime(write_onnx(portable)), result, samples)
    assert sqnr_db(expected, found) > 25


DECLINES = {
    "peepholes": ({"peepholes": True}, Precision()),
    "4-bit weights": ({}, Precision(DType.INT8, DType.INT4)),
    "weights too large for one scale": ({"scale": 1e4}, Precision()),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case):
    attrs, precision = DECLINES[case]
    (node,) = lstm(**attrs).nodes_of("Lstm")
    assert not is_quantizable_lstm(node, precision)


def test_weak_weights_would_need_too_many_marks():
    graph = lstm(scale=0.004)
    samples = samples_of(graph)
    real, result, _ = quantized(graph, samples)
    (node,) = result.nodes_of("Lstm")
    assert node.output.dtype is DType.FLOAT32
    assert node.input(0).shape[-1] == SIZE + 1
