import numpy as np
import pytest

from edgepack.calibrate.synthetic import is_picture, leaves, synthetic_inputs
from edgepack.ir.text import parse

INPUTS = {
    "NHWC picture": "x: float32[1, 32, 40, 3] = input()",
    "NCHW picture": "x: float32[2, 3, 32, 40] = input()",
    "spectrogram": "x: float32[1, 49, 10, 1] = input()",
    "sequence": "x: float32[1, 20, 8] = input()",
    "vector": "x: float32[1, 640] = input()",
    "number": "x: float32[1] = input()",
}


def _graph(declared: str):
    return parse(f"{declared}\ny = Relu(x)\noutput(y)")


@pytest.mark.parametrize("declared", INPUTS.values(), ids=INPUTS.keys())
@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.0, 255.0), (-123.4, 25.7), (3.0, 5.0)])
def test_inputs_vary_within_the_range(declared, span):
    graph = _graph(declared)
    drawn = [arrays[0] for arrays in synthetic_inputs(graph, span, count=3)]
    for array in drawn:
        assert array.shape == graph.inputs[0].shape
        assert array.dtype == np.float32
        assert span[0] <= array.min() <= array.max() <= span[1]
    assert not np.array_equal(drawn[0], drawn[1])


def test_the_seed_alone_decides():
    graph = _graph(INPUTS["NHWC picture"])
    one, same, other = (next(synthetic_inputs(graph, (0, 1), seed=s))[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("declared", "picture"),
    list(zip(INPUTS.values(), (True, True, False, False, False, False), strict=True)),
    ids=INPUTS.keys(),
)
def test_what_is_a_picture(declared, picture):
    assert is_picture(_graph(declared).inputs[0]) is picture


def test_neighbouring_pixels_resemble_each_other():
    picture = leaves(np.random.default_rng(0), 64, 64, 3)
    step = np.abs(np.diff(picture, axis=1)).mean()
    far = np.abs(picture[:, 32:] - picture[:, :32]).mean()
    assert step < far / 4


def test_layouts_draw_alike():
    (one,) = next(synthetic_inputs(_graph("x: float32[1, 32, 40, 3] = input()"), (0, 1)))
    (two,) = next(synthetic_inputs(_graph("x: float32[1, 3, 32, 40] = input()"), (0, 1)))
    np.testing.assert_array_equal(one, two.transpose(0, 2, 3, 1))


def test_indices_are_rows_of_their_table():
    graph = parse(
        "i: int32[1, 50] = input()\nt = random(7, 4)\ny = Gather(t, i, axis=0)\noutput(y)"
    )
    drawn = np.concatenate([a[0] for a in synthetic_inputs(graph, (0, 1), count=4)])
    assert drawn.dtype == np.int32
    assert set(np.unique(drawn)) == set(range(7))
