"""Packed constants in files: the host interpreter gives the bits of the plain file."""

import re

import numpy as np
import pytest

from edgepack.api.lowered import tflite_file
from edgepack.errors import BadModel
from edgepack.ir import DType, Graph, QuantParams
from edgepack.plan.abi import HOST
from edgepack.plan.flash import weight_bytes
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.tflm import plan_tflm
from edgepack.readers.tflite.read import read_tflite
from edgepack.schema import decode

LEVELS = {"lut": 16, "huffman": 12, "prune": 40}


def int8_net(levels: int, seed: int = 0) -> Graph:
    """Conv, depthwise and dense layers, all integer; `levels` different weights, half of them 0."""
    rng = np.random.default_rng(seed)
    graph = Graph("net")
    x = graph.add_input("x", (1, 8, 8, 4), DType.INT8)
    x.quant = QuantParams.per_tensor(0.1, 3)

    def layer(op, value, shape, axis, attrs):
        data = rng.choice(rng.integers(-127, 128, levels - 1), shape).astype(np.int8)
        data[rng.random(shape) < 0.5] = 0
        channels = shape[-1] if axis == 3 else shape[0]
        quant = QuantParams.per_tensor(0.01)
        if axis is not None:
            quant = QuantParams.per_channel(rng.uniform(0.005, 0.02, channels), axis)
        scale = quant.scale * value.quant.scale[0]
        bias_quant = QuantParams(
            scale, np.zeros(len(scale), np.int64), 0 if len(scale) > 1 else None
        )
        bias = graph.constant(rng.integers(-500, 500, channels, np.int32), "b", bias_quant)
        out = graph.add(op, [value, graph.constant(data, f"{op}_w", quant), bias], attrs, name=op)
        out.quant = QuantParams.per_tensor(0.5, -7)
        return out

    same = {"pad": ((1, 1), (1, 1))}
    y = layer("Conv2d", x, (24, 3, 3, 4), 0, same)
    y = layer("DepthwiseConv2d", y, (1, 3, 3, 24), 3, same)
    graph.outputs = [layer("FullyConnected", y, (10, 24), None, {})]
    return graph


def pack_all(graph: Graph, coding: str) -> Graph:
    for value in graph.constants():
        if value.name.endswith("_w"):
            value.packed = decode.pack(value, coding)
    return graph


def outputs(data: bytes, inputs):
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
    found = []
    for array in inputs:
        interpreter.set_input(array, 0)
        interpreter.invoke()
        found.append(np.array(interpreter.get_output(0)))
    return np.stack(found), interpreter


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("coding", decode.CODINGS)
def test_bits_of_the_plain_file(coding, seed, capfd):
    graph = int8_net(LEVELS[coding], seed)
    plain, packed = tflite_file(graph), tflite_file(pack_all(graph, coding))
    inputs = np.random.default_rng(seed).integers(-128, 128, (4, 1, 8, 8, 4), np.int8)
    wanted, _ = outputs(plain, inputs)
    assert len(np.unique(wanted)) > 20
    found, interpreter = outputs(packed, inputs)
    np.testing.assert_array_equal(found, wanted)

    capfd.readouterr()
    interpreter.print_allocations()
    plan = plan_tflm(micro_model_from_file(packed), abi=HOST)
    printed = re.findall(r"allocation (?:total|head) (\d+)", capfd.readouterr().err)
    assert [plan.arena_bytes, plan.head_bytes] == [int(n) for n in printed]
    assert plan.unmodelled == ()


@pytest.mark.parametrize("coding", decode.CODINGS)
def test_read_back_as_packed_and_written_the_same(coding):
    file = tflite_file(pack_all(int8_net(LEVELS[coding]), coding))
    again = read_tflite(file)
    assert [n.op for n in again.nodes] == ["Conv2d", "DepthwiseConv2d", "FullyConnected"]
    assert sum(v.packed is not None for v in again.constants()) == 3
    assert len(tflite_file(again)) == len(file)


def test_flash_counts_what_is_stored():
    plain = int8_net(16)
    before = weight_bytes(plain)
    packed = pack_all(plain, "lut")
    saved = sum(v.nbytes - v.packed.nbytes for v in packed.constants() if v.packed)
    assert weight_bytes(packed) == before - saved
    assert saved > 0


def test_a_constant_of_two_readers_is_stored_once_and_unpacked_for_each():
    graph = int8_net(16)
    dense = graph.nodes[-1]
    second = graph.add("FullyConnected", list(dense.inputs), {}, name="second")
    second.quant = dense.output.quant
    graph.outputs.append(second)
    pack_all(graph, "lut")
    model = micro_model_from_file(tflite_file(graph))
    unpacked = [op for op in model.ops if op.kind == decode.OPERATOR]
    assert len(unpacked) == 4
    assert unpacked[-1].inputs == unpacked[-2].inputs
    assert unpacked[-1].outputs != unpacked[-2].outputs


def test_damaged_metadata_are_told():
    graph = pack_all(int8_net(16), "lut")
    for value in graph.constants():
        if value.packed:
            bad = value.packed.ancillary.copy()
            bad[0] = 9
            value.packed = type(value.packed)(value.packed.encoded, bad)
    with pytest.raises(BadModel, match="kind 9"):
        read_tflite(tflite_file(graph))
