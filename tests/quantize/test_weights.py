import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepack.ir import DType
from edgepack.quantize.weights import bias_params, quantize_weights, weight_params

weights = hnp.arrays(np.float32, (3, 2, 2), elements=st.floats(-1e3, 1e3, width=32))


@given(weights, st.sampled_from([0, 2, None]))
def test_weights_are_within_half_a_step(w, axis):
    params = weight_params(w, DType.INT8, axis)
    stored = quantize_weights(w, params, DType.INT8)
    assert stored.min() >= -127
    assert not params.zero_point.any()
    step = (
        params.scale
        if axis is None
        else params.scale.reshape([-1 if i == axis else 1 for i in range(3)])
    )
    assert (np.abs(params.dequantize(stored) - w) <= step * 0.5001).all()


def test_a_channel_of_zeros_has_a_scale():
    w = np.zeros((2, 3), np.float32)
    w[1] = 1
    params = weight_params(w, DType.INT8, 0)
    assert (params.scale > 0).all()
    assert not quantize_weights(w, params, DType.INT8)[0].any()


def test_a_large_bias_widens_the_scale_of_its_channel():
    w = np.full((2, 3), 1e-9, np.float32)
    bias = np.array([0.0, 50.0], np.float32)
    params = weight_params(w, DType.INT8, 0, bias=bias, input_scale=0.01)
    stored = bias_params(0.01, params).quantize(bias, DType.INT32)
    assert bias_params(0.01, params).dequantize(stored) == pytest.approx(bias, rel=1e-3)


def test_bias_scale_is_the_product():
    params = weight_params(np.ones((2, 3), np.float32), DType.INT8, 0)
    assert bias_params(0.5, params).scale == pytest.approx(params.scale * 0.5)
    assert bias_params(0.5, params).axis == 0
