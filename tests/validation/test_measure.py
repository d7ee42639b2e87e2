"""Figures of comparisons, on numbers small enough to work out by hand."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from edgepack.errors import BadData
from edgepack.ir import Array
from edgepack.ir.text import parse
from edgepack.run.reference import ReferenceRuntime
from edgepack.validation.compare import Apart, is_tied
from edgepack.validation.files import OpenFile
from edgepack.validation.interface import Interface, Port
from edgepack.validation.logits import before_softmax, ends_in_softmax
from edgepack.validation.measure import accuracy_of, agreement_of, run_files
from tests.noise import sqnr_db

A, B = np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 2.3])


def test_sqnr() -> None:
    assert sqnr_db([A], [B]) == pytest.approx(10 * np.log10(9 / 0.09))
    assert sqnr_db([A], [A]) == float("inf")
    assert sqnr_db([A * 0], [B]) is None


def test_steps() -> None:
    apart = Apart(0.1)
    apart.add(A, B)
    apart.add(A, A + 0.1)
    assert apart.figures() == {
        "max_lsb": 3, "within_1_lsb": 5 / 6, "equal": 2 / 6, "top1": 0.5,
    }  # fmt: skip


def test_nothing_is_no_figure() -> None:
    assert set(Apart(0.1).figures().values()) == {0.0, None}


def test_ties() -> None:
    assert [is_tied(a) for a in (A, B, A[:0])] == [True, False, False]


def _open(key: str, text: str) -> OpenFile:
    graph = parse(text)
    return OpenFile(key, ReferenceRuntime(graph), Interface.of(graph))


DOUBLE = "x: float32[1, 2] = input()\nk = full(2.0)\ny = Mul(x, k)\noutput(y)"
SHIFT = "x: float32[1, 2] = input()\nk = full(0.5)\ny = Add(x, k)\noutput(y)"
SAMPLES = [({"x": np.array([[0, 1]], np.float32)}, 1), ({"x": np.array([[3, 2]], np.float32)}, 1)]


def test_two_files_are_compared_on_all_samples() -> None:
    files = [_open("tflite", DOUBLE), _open("onnx", SHIFT)]
    outcome = run_files(files, SAMPLES)
    figures = agreement_of(outcome)
    assert figures == {"tflite_vs_onnx_max_abs": 2.5, "tflite_vs_onnx_top1": 1.0}
    found = accuracy_of(outcome)
    assert (found.exported, found.samples) == ({"tflite": 0.5, "onnx": 0.5}, 2)
    assert found.float_ is None


def test_without_labels_there_is_no_accuracy() -> None:
    files = [_open("tflite", DOUBLE)]
    found = accuracy_of(run_files(files, [(x, None) for x, _ in SAMPLES]))
    assert (found.exported, found.metric) == ({"tflite": None}, None)


def test_a_class_that_the_model_lacks() -> None:
    with pytest.raises(BadData, match="class index 2, the model's first output 2"):
        run_files([_open("tflite", DOUBLE)], [(SAMPLES[0][0], 2)])


LOGITS = "x: float32[1, 4] = input()\nd = Relu(x)\ny = Softmax(d)\noutput(y)"


def test_the_cut_before_a_softmax() -> None:
    cut = before_softmax(parse(LOGITS))
    assert cut is not None
    assert [v.name for v in cut.outputs] == ["d"]
    assert before_softmax(parse(DOUBLE)) is None


def test_ports_turn_and_quantize_both_ways() -> None:
    port = Port("x", (1, 3, 2, 2), "float32", (0, 2, 3, 1), "int8", 0.5, 3)
    array = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    assert port.to_graph(array).shape == port.shape_on("graph") == (1, 2, 2, 3)
    assert port.shape_on("source") == (1, 3, 2, 2)
    np.testing.assert_array_equal(port.to_source(port.to_graph(array)), array)
    np.testing.assert_array_equal(port.decode(port.encode(array)), array)
    assert port.encode(array).flat[1] == 5
    assert port.layout == "nchw"


def test_interfaces_round_trip() -> None:
    for side in ("source", "graph"):
        interface = Interface.of(parse(LOGITS), side)  # type: ignore[arg-type]
        assert Interface.from_dict(interface.to_dict()) == interface
        assert (interface.side_of("onnx"), interface.side_of("tflm")) == (side, "graph")


def test_ends_in_softmax_goes_by_the_last_layers() -> None:
    from edgepack.validation.layers import layer_infos

    assert ends_in_softmax(layer_infos(parse(LOGITS), {}, {}))
    assert not ends_in_softmax(layer_infos(parse(DOUBLE), {}, {}))


def test_outputs_are_not_kept() -> None:
    file = _open("tflite", DOUBLE)
    given: list[weakref.ref[Array]] = []
    alive: list[int] = []
    real = file.runtime.run

    class Watched:
        inputs, outputs = file.runtime.inputs, file.runtime.outputs

        def run(self, inputs: Sequence[Array]) -> list[Array]:
            found = real(inputs)
            given.append(weakref.ref(found[0]))
            alive.append(sum(ref() is not None for ref in given))
            return found

    assert run_files([OpenFile("tflite", Watched(), file.interface)], SAMPLES * 10).samples == 20
    assert max(alive) <= 2
