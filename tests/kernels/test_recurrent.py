"""The recurrent operators of real numbers against LiteRT, and what the reader keeps of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import BadModel, InternalError, Unsupported
from edgepack.ir.text import parse
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

GATES = "ifco"


def lstm(
    x: str = "[2, 5, 4]", *, units: int = 3, out: int | None = None, batch: int = 2,
    without: str = "", peep: str = "", attrs: str = "",
) -> str:  # fmt: skip
    """An LSTM in the text form; `without` and `peep` name gates, `out` asks for a projection."""
    features, state = x.strip("[]").split(",")[-1], out or units
    lines, names = [f"x: float32{x} = input()"], ["x"]
    for letter, shape in (("w", (units, features)), ("r", (units, state))):
        for gate in GATES:
            names.append("None" if gate in without else f"{letter}{gate}")
            lines.append(f"{letter}{gate} = random({shape[0]}, {shape[1]})")
    for gate in "ifo":
        names.append(f"p{gate}" if gate in peep else "None")
        lines.append(f"p{gate} = random({units})")
    for gate in GATES:
        names.append("None" if gate in without else f"b{gate}")
        lines.append(f"b{gate} = random({units})")
    names += ["proj", "proj_b"] if out else ["None", "None"]
    lines += [f"proj = random({state}, {units})", f"proj_b = random({state})"]
    lines += [f"h = full(0, {batch}, {state})", f"c = full(0, {batch}, {units})"]
    lines.append(f"y = Lstm({', '.join([*names, 'h', 'c'])}{attrs})")
    return "\n".join([*lines, "output(y)"])


def svdf(attrs: str) -> str:
    return (
        "x: float32[2, 6] = input()\nw = random(8, 6)\nt = random(8, 3)\nb = random(4)\n"
        f"s = full(0, 2, 24)\ny = Svdf(x, w, t, b, s, {attrs})\noutput(y)"
    )


CASES = {
    "lstm/plain": lstm(),
    "lstm/time_major": lstm("[5, 2, 4]", attrs=", time_major=True"),
    "lstm/clipped": lstm(attrs=", cell_clip=0.4"),
    "lstm/peepholes": lstm(peep="ifo"),
    "lstm/coupled": lstm(without="i"),
    "lstm/projection": lstm(out=2, attrs=", proj_clip=0.6"),
    "svdf/rank_2": svdf("rank=2"),
    "svdf/relu": svdf('rank=2, activation="relu"'),
}


@pytest.mark.parametrize("name", CASES)
def test_litert_agrees(name: str) -> None:
    graph = parse(CASES[name])
    x = [np.random.default_rng(5).standard_normal(graph.inputs[0].shape).astype(np.float32)]
    model = write_tflite(graph)
    (want,) = LiteRTRuntime(model).run(x)
    for ours in (graph, read_tflite(model)):
        (got,) = ReferenceRuntime(ours).run(x)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_written_again_the_file_is_the_same(name: str) -> None:
    model = write_tflite(parse(CASES[name]))
    assert write_tflite(read_tflite(model)) == model


def test_a_state_of_another_size_is_told() -> None:
    with pytest.raises(BadModel, match=r"h is \(3, 3\), should be \(2, 3\)"):
        parse(lstm(batch=3))


def test_tflite_starts_from_zero_alone() -> None:
    graph = parse(lstm().replace("h = full(0,", "h = full(1,"))
    with pytest.raises(InternalError, match="not zero"):
        write_tflite(graph)


def test_normalized_gates_have_no_kernel() -> None:
    text = lstm().replace(", h, c)", ", h, c, None, n, n, n)").replace("y =", "n = random(3)\ny =")
    graph = parse(text)
    with pytest.raises(Unsupported, match="layer normalization"):
        ReferenceRuntime(graph).run([np.zeros((2, 5, 4), np.float32)])


def test_other_weights_than_the_state_are_told() -> None:
    with pytest.raises(BadModel, match="should be"):
        parse(lstm().replace("rf = random(3, 3)", "rf = random(3, 2)"))
