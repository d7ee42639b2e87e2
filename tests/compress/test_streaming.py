"""Streaming: frame after frame gives what the whole model gives on the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.api.lowered import tflite_file
from edgepack.compress.frame import Context
from edgepack.compress.streaming import StreamSettings, stream
from edgepack.errors import BadInput
from edgepack.ir import Array, Graph
from edgepack.ir.check import check
from edgepack.ir.macs import conv2d
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.profiles import load_target
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.files import OpenFile
from edgepack.validation.interface import Interface
from edgepack.validation.logits import before_softmax
from edgepack.writers.c import write_c
from edgepack.writers.tflite import write_tflite
from tests.shared import shared
from tests.small_models import TARGET
from tests.writers.c.compiled import Library

T = 12  # frames of a window
HEAD = f"""
    x: float32[1, {T}, 1, 6] = input()
    w1 = random(8, 3, 1, 6)
    b1 = random(8)
    """
CAUSAL = 'a = Conv2d(x, w1, b1, pad=((2, 0), (0, 0)), activation="relu")\n'
VALID = 'a = Conv2d(x, w1, b1, activation="relu")\n'

# What comes between input and output; frames in a call; settings.
NETS: dict[str, tuple[str, int]] = {
    "valid, then all frames": (
        VALID + """
        wd = random(1, 5, 1, 8)
        d = DepthwiseConv2d(a, wd)
        r = Reshape(d, shape=(1, 48))
        v = random(4, 48)
        y = FullyConnected(r, v)
        output(y)
        """, 1,
    ),
    "several frames a call": (
        VALID + """
        p = MaxPool2d(a, kernel=(2, 1), stride=(1, 1))
        m = ReduceMean(p, axes=(1, 2), keepdims=False)
        output(m)
        """, 3,
    ),
    "causal padding": (
        CAUSAL + """
        w2 = random(4, 3, 1, 8)
        y = Conv2d(a, w2, pad=((4, 0), (0, 0)), dilation=(2, 1))
        output(y)
        """, 1,
    ),
    "causal padding spelled out": (
        """
        q = Pad(x, pads=((0, 0), (2, 0), (0, 0), (0, 0)))
        a = Conv2d(q, w1, b1)
        s = Sigmoid(a)
        wd = random(1, 3, 1, 8)
        d = DepthwiseConv2d(s, wd, pad=((2, 0), (0, 0)))
        y = Slice(d, begin=(0, 11, 0, 0), size=(1, 1, 1, 8), stride=(1, 1, 1, 1))
        output(y)
        """, 2,
    ),
    "less padding than the window reaches back": (
        """
        a = Conv2d(x, w1, b1, pad=((1, 0), (0, 0)))
        w2 = random(4, 2, 1, 8)
        y = Conv2d(a, w2)
        output(y)
        """, 1,
    ),
    "a residual around a valid layer": (
        VALID + """
        w2 = random(8, 3, 1, 8)
        c = Conv2d(a, w2)
        s = Slice(a, begin=(0, 2, 0, 0), size=(1, 8, 1, 8), stride=(1, 1, 1, 1))
        z = Add(c, s)
        y = ReduceMax(z, axes=(1,), keepdims=True)
        output(y)
        """, 1,
    ),
    "strides in several frames": (
        """
        a = Conv2d(x, w1, b1, stride=(2, 1), pad=((1, 0), (0, 0)))
        w2 = random(4, 3, 1, 8)
        c = Conv2d(a, w2)
        o = Softmax(c)
        output(o)
        """, 2,
    ),
    "a stride that covers all": (
        VALID + """
        y = AveragePool2d(a, kernel=(10, 1), stride=(10, 1))
        output(y)
        """, 1,
    ),
    "width is time": (
        """
        t = Transpose(x, perm=(0, 2, 1, 3))
        w2 = random(5, 1, 4, 6)
        c = Conv2d(t, w2, pad=((0, 0), (3, 0)))
        k = random(1, 1, 1, 5)
        m = Mul(c, k)
        s, u = Split(m, axis=3, sizes=(2, 3))
        j = Concat(u, s, axis=3)
        h = Reshape(j, shape=(1, 12, 5))
        v = random(4, 5)
        y = FullyConnected(h, v)
        output(y)
        """, 1,
    ),
    "nothing to keep": (
        """
        w2 = random(4, 1, 1, 6)
        y = Conv2d(x, w2, activation="relu")
        output(y)
        """,
        1,
    ),
    "two outputs": (
        VALID + """
        w2 = random(4, 2, 1, 8)
        y = Conv2d(a, w2)
        m = ReduceMean(a, axes=(1, 2), keepdims=False)
        output(y, m)
        """, 1,
    ),
}  # fmt: skip


def net(text: str) -> Graph:
    """The graph of `HEAD` and `text`."""
    return parse("\n".join(line.strip() for line in (HEAD + text).splitlines()))


def saved(folder: Path, text: str) -> str:
    """A TFLite file of `net(text)`."""
    graph = net(text)
    legalize_tflite(graph)
    path = folder / "net.tflite"
    path.write_bytes(write_tflite(graph))
    return str(path)


def context() -> Context:
    return Context(load_target(TARGET), lambda: iter(()), has_data=False)


def streamed(graph: Graph, **settings: Any) -> Graph:
    new = graph.copy()
    stream(new, StreamSettings(**settings), context())
    new.sort()
    check(new, after="stream")
    return new


def run(whole: Graph, new: Graph, x: Array) -> tuple[list[Array], list[Array]]:
    """The results of the last call and, cut down to its frames, those of the whole model."""
    one = OpenFile("tflite", ReferenceRuntime(new), Interface.of(new))
    cut = Interface.of(whole).as_streamed(one.interface)
    all_ = OpenFile("tflite", ReferenceRuntime(whole), cut)
    name = whole.inputs[0].name
    return one.real(one.run({name: x})[1]), all_.real(all_.run({name: x})[1])


def same_but_for_rounding(found: Array, wanted: Array) -> None:
    """Sums of some 50 terms in another order: 2^-24 of the largest for each."""
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 50 * 2.0**-24 * np.abs(wanted).max()


@pytest.mark.parametrize("name", NETS)
def test_the_numbers_of_the_whole_model(name: str) -> None:
    text, frames = NETS[name]
    whole = net(text)
    new = streamed(whole, frames=frames)
    x = np.random.default_rng(1).standard_normal((1, T, 1, 6)).astype(np.float32)
    found, wanted = run(whole, new, x)
    assert len(found) == len(whole.outputs)
    assert new.source.stream is not None
    assert new.inputs[0].shape[1] == frames
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(b).max() > 0.1
        same_but_for_rounding(a, b)


def test_every_window_without_padding() -> None:
    text, _ = NETS["valid, then all frames"]
    whole = net(text)
    new = streamed(whole)
    x = np.random.default_rng(2).standard_normal((1, 3 * T, 1, 6)).astype(np.float32)
    one, all_ = ReferenceRuntime(new), ReferenceRuntime(whole)
    past = [np.full(v.shape, 7.0, np.float32) for v in new.inputs[1:]]  # forgotten by then
    for t in range(3 * T):
        y, *past = one.run([x[:, t : t + 1], *past])
        if t >= T - 1:
            (wanted,) = all_.run([x[:, t - T + 1 : t + 1]])
            same_but_for_rounding(y, wanted)


def test_work_is_that_of_the_new_frame() -> None:
    new = streamed(net(NETS["causal padding"][0]))
    layers = new.nodes_of("Conv2d")
    assert [conv2d(n) for n in layers] == [8 * 3 * 6, 4 * 3 * 8]
    assert [v.shape for v in new.inputs] == [(1, 1, 1, 6), (1, 2, 1, 6), (1, 4, 1, 8)]
    assert [v.shape for v in new.outputs] == [(1, 1, 1, 4), (1, 2, 1, 6), (1, 4, 1, 8)]


STUCK = {
    "padding at the end": (
        "a = Conv2d(x, w1, b1, pad=((1, 1), (0, 0)))\noutput(a)", "Conv2d a: .*looks ahead",
    ),
    "frames left out": (
        VALID + "y = Slice(a, begin=(0, 0, 0, 0), size=(1, 9, 1, 8), stride=(1, 1, 1, 1))\n"
        "output(y)", "Slice y: it leaves out the newest",
    ),
    "a stride between frames": (
        "a = Conv2d(x, w1, b1, stride=(3, 1))\noutput(a)", "its stride of 3 needs a multiple",
    ),
    "a gate made of all frames": (
        VALID + "g = ReduceMean(a, axes=(1, 2), keepdims=True)\ny = Mul(a, g)\noutput(y)",
        "Mul y: it applies to each frame what is computed from all",
    ),
    "softmax over time": (
        VALID + "y = Softmax(a, axis=1)\noutput(y)", "Softmax y: it runs along time",
    ),
    "padding after a warm-up": (
        VALID + "w2 = random(4, 3, 1, 8)\ny = Conv2d(a, w2, pad=((2, 0), (0, 0)))\noutput(y)",
        "Conv2d y: it pads before the first frame",
    ),
    "a constant for each frame": (
        "k = random(1, 12, 1, 1)\ny = Mul(x, k)\na = Conv2d(y, w1, b1)\noutput(a)",
        "Mul y: its constant differs from frame to frame",
    ),
    "resized": (
        "y = ResizeNearest(x, size=(24, 1))\na = Conv2d(y, w1, b1)\noutput(a)",
        "ResizeNearest y: ResizeNearest is not known",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STUCK)
def test_what_mixes_frames_is_refused_by_name(case: str) -> None:
    text, words = STUCK[case]
    with pytest.raises(BadInput, match=words):
        streamed(net(text), axis=1)


BAD: dict[str, tuple[dict[str, int], str]] = {
    "no such dimension": ({"axis": 7}, "no dimension 7"),
    "the batch": ({"axis": 0}, "no dimension 0"),
    "no part of the window": ({"frames": 5}, "not a part of the window"),
    "nothing to save": ({"frames": 12}, "not a part of the window"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(case: str) -> None:
    settings, words = BAD[case]
    with pytest.raises(BadInput, match=words):
        streamed(net(NETS["causal padding"][0]), **settings)


# -- through an export -----------------------------------------------------------------------------


def states_are_fed_back_as_they_are(graph: Graph) -> None:
    count = graph.source.stream.states if graph.source.stream else len(graph.inputs) - 1
    for old, new in zip(graph.inputs[-count:], graph.outputs[-count:], strict=True):
        assert old.shape == new.shape
        assert old.dtype == new.dtype
        assert old.quant == new.quant


def whole_and_stream(tmp_path: Path, model: Any, x: Array, **options: Any) -> list[Path]:
    """The folders of the whole export and of the streaming one."""
    folders = [tmp_path / "whole", tmp_path / "stream"]
    for folder, more in zip(folders, ({}, {"compress": ["stream"]}), strict=True):
        edgepack.export(model, TARGET, folder, calibration=x, **options, **more)
    return folders


def feed_windows(runtime: Any, starts: list[Array], windows: Array) -> list[Array]:
    """What the last call gives on each window."""
    found = []
    for window in windows:
        past = list(starts)
        for t in range(len(window)):
            y, *past = runtime.run([window[None, t : t + 1], *past])
        found.append(y)
    return found


@pytest.mark.parametrize("name", ["valid, then all frames", "causal padding spelled out"])
def test_int8_bits_of_the_whole_model(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, NETS[name][0])
    x = np.random.default_rng(3).standard_normal((20, T, 1, 6)).astype(np.float32)
    folders = whole_and_stream(tmp_path, path, x, io="int8", formats="tflite,onnx,c")
    bits_agree(folders, T, (1, 6))


class Compiled:
    """A C project as a runtime."""

    def __init__(self, library: Library, graph: Graph) -> None:
        self.library, self.graph = library, graph

    def run(self, inputs: list[Array]) -> list[Array]:
        return self.library.run("one", self.graph, inputs)


def bits_agree(folders: list[Path], window: int, rest: tuple[int, ...]) -> None:
    loaded = (edgepack.load(folder / "model.tflite") for folder in folders)
    whole, new = (before_softmax(graph) or graph for graph in loaded)
    states_are_fed_back_as_they_are(new)
    states = new.inputs[1:]
    starts = [np.full(v.shape, v.quant.zero_point[0], np.int8) for v in states if v.quant]
    assert len(starts) == len(states) > 0
    x = np.random.default_rng(4).integers(-128, 128, (4, window, *rest), np.int8)
    wanted = [ReferenceRuntime(whole).run([row[None]])[0] for row in x]
    newest = [w[:, -1:] if w.ndim == 4 and w.shape[1] > 1 else w for w in wanted]
    assert len(np.unique(np.stack(newest))) > 5
    found = feed_windows(ReferenceRuntime(new), starts, x)
    np.testing.assert_array_equal(np.stack(found), np.stack(newest))
    packed = tflite_file(new)
    litert = LiteRTRuntime(packed, reference_kernels=True)
    for runtime in (litert, TflmRuntime(packed, litert.inputs, litert.outputs)):
        again = feed_windows(runtime, starts, x)
        np.testing.assert_array_equal(np.stack(again), np.stack(newest))
    if (folders[1] / "model_c").is_dir():
        library = Library(folders[1], {"one": write_c(new, prefix="one")})
        again = feed_windows(Compiled(library, new), starts, x)
        np.testing.assert_array_equal(np.stack(again), np.stack(newest))
    onnx = folders[1] / "model.onnx"
    if onnx.is_file():
        ort = OrtRuntime(onnx.read_bytes())
        apart = np.stack(feed_windows(ort, starts, x)).astype(int) - np.stack(newest)
        assert np.abs(apart).max() <= 2  # it rounds otherwise


def test_the_report_and_validation(tmp_path: Path) -> None:
    path = saved(tmp_path, NETS["causal padding"][0])
    x = np.random.default_rng(5).standard_normal((20, T, 1, 6)).astype(np.float32)
    report = edgepack.export(
        path, "raspberry-pi-4", tmp_path / "out", calibration=x, quantize="none",
        compress=["stream"], formats="tflite,onnx",
    )  # fmt: skip
    (step,) = report.compression
    assert step.after.macs * T == step.before.macs
    assert step.after.params == step.before.params
    assert any("true past" in note for note in step.notes)
    assert len(step.changed) == 2
    db = report.accuracy.output_sqnr_db["tflite"]
    assert db is None or db > 100  # None: not a bit apart
    again = edgepack.validate(tmp_path / "out")
    assert again.ok
    again = edgepack.validate(tmp_path / "out", data=x)
    assert again.ok


def test_clustering_comes_before(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        CAUSAL
        + """
        w2 = random(64, 3, 1, 8)
        y = Conv2d(a, w2, pad=((2, 0), (0, 0)))
        output(y)
        """,
    )
    x = np.random.default_rng(5).standard_normal((20, T, 1, 6)).astype(np.float32)
    report = edgepack.export(
        path, TARGET, tmp_path / "out", calibration=x, io="int8",
        compress=["stream", "cluster,bits=3"],
    )  # fmt: skip
    assert [step.technique for step in report.compression] == ["cluster", "stream"]
    assert report.compression[0].changed


@pytest.mark.slow
def test_a_wake_word_model(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    model = shared("models/sww_conv.h5")
    x = np.random.default_rng(0).random((20, 30, 1, 40), np.float32) * 26
    folders = whole_and_stream(tmp_path, str(model), x, io="int8")
    bits_agree(folders, 30, (1, 40))
