"""Fake quantization is what quantizing and dequantizing is, and its gradients are those of LSQ."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.calibrate.fake_quant import (
    LearnedRounding,
    LearnedScale,
    annealed,
    fake_quantize,
)
from edgepack.ir import DType, QuantParams

torch = pytest.importorskip("torch")

PARAMS = QuantParams.per_tensor(0.1, -28)
X = np.linspace(-12, 17, 999, dtype=np.float32)  # beyond both ends: -10 and 15.5


@pytest.mark.parametrize("learned", [False, True])
def test_equals_storing_and_reading_back(learned: bool) -> None:
    x = torch.from_numpy(X)
    got = (
        LearnedScale(torch, PARAMS, DType.INT8)(x).detach()
        if learned
        else fake_quantize(torch, x, PARAMS, DType.INT8)
    )
    want = PARAMS.dequantize(PARAMS.quantize(X, DType.INT8))
    # in float32 a few ties fall the other way
    assert np.mean(np.abs(got.numpy() - want) > 1e-4) < 0.005


def test_int16_has_its_own_limits() -> None:
    params = QuantParams.per_tensor(1 / 32768)
    x = torch.tensor([-2.0, 0.3, 2.0])
    got = fake_quantize(torch, x, params, DType.INT16).numpy()
    want = params.dequantize(params.quantize(x.numpy(), DType.INT16))
    np.testing.assert_array_equal(got, want)


def test_gradient_of_a_learned_scale() -> None:
    scale = LearnedScale(torch, PARAMS, DType.INT8)
    x = torch.tensor([-12.0, 0.33, 17.0], requires_grad=True)
    for index, (d_scale, d_x) in enumerate([(-100, 0), (3 - 3.3, 1), (155, 0)]):
        scale.log_scale.grad = x.grad = None
        scale(x)[index].backward()
        assert float(scale.log_scale.grad) == pytest.approx(d_scale * 0.1, abs=1e-4)
        assert float(x.grad[index]) == pytest.approx(d_x, abs=1e-4)


W = np.array([[0.24, -0.31, 0.0], [0.72, 0.02, -0.66]], np.float32)
PER_CHANNEL = QuantParams.per_channel([0.1, 0.2], 0)


def test_zeros_are_not_moved() -> None:
    """Whatever the search asks for, with integers to begin at and without."""
    for start in (None, np.array([[2, -3, 0], [4, 1, -3]])):
        rounding = LearnedRounding(torch, W, PER_CHANNEL, DType.INT4, start)
        with torch.no_grad():
            rounding.variable += 20.0  # all of them up
        assert rounding.stored()[0, 2] == 0
        assert float(rounding.weights().detach()[0, 2]) == 0
        assert rounding.stored()[1, 1] == 1


def test_rounding_begins_at_the_real_weights() -> None:
    rounding = LearnedRounding(torch, W, PER_CHANNEL, DType.INT4)
    np.testing.assert_allclose(rounding.weights().detach().numpy(), W, atol=1e-3)
    np.testing.assert_array_equal(rounding.stored(), [[2, -3, 0], [4, 0, -3]])


def test_rounding_begins_at_what_was_decided_before_and_may_go_one_nearer_to_the_weights() -> None:
    start = np.array([[5, -4, 0], [3, 0, -6]])  # of which nearest gives [[2, -3, 0], [4, 0, -3]]
    rounding = LearnedRounding(torch, W, PER_CHANNEL, DType.INT4, start)
    np.testing.assert_array_equal(rounding.stored(), start)
    with torch.no_grad():
        rounding.variable *= -1
    away = rounding.stored() - start
    toward = np.where(start <= W / [[0.1], [0.2]], 1, -1)
    np.testing.assert_array_equal(away, np.where(W == 0, 0, toward))  # zeros stay


def test_weights_beyond_the_integers_stay_within() -> None:
    rounding = LearnedRounding(torch, 9 * W, PER_CHANNEL, DType.INT4)
    with torch.no_grad():
        rounding.variable += 20
    assert rounding.stored().max() == 7
    with torch.no_grad():
        rounding.variable -= 40
    assert rounding.stored().min() == -7


def test_indecision_is_nothing_only_when_all_is_decided() -> None:
    rounding = LearnedRounding(torch, W, PER_CHANNEL, DType.INT4)
    assert float(rounding.indecision(2.0).detach()) > 0.1
    with torch.no_grad():
        rounding.variable[:] = 20.0
    assert float(rounding.indecision(2.0).detach()) == 0


def test_indecision_is_annealed() -> None:
    assert annealed(0, 100) is None
    assert annealed(20, 100) == 20
    assert annealed(60, 100) == pytest.approx(11)
