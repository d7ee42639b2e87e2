"""What an exported file takes and gives, as the graph says it."""

import numpy as np

from edgepack.ir import DType, QuantParams
from edgepack.ir.text import parse
from edgepack.validation.interface import Interface


def test_a_softmax_may_make_several_steps_of_one() -> None:
    graph = parse("x: float32[1, 4] = input()\ny = Softmax(x)\noutput(y)")
    (x,), (y,) = graph.inputs, graph.outputs
    for scale, reach in ((0.001, 1), (0.1, 13)):  # 0.1 / 2 in steps of 1 / 256
        x.dtype, x.quant = DType.INT8, QuantParams.per_tensor(scale, 0)
        y.dtype, y.quant = DType.INT8, QuantParams.per_tensor(1 / 256, -128)
        port = Interface.of(graph).outputs[0]
        assert port.reach == reach
        drawn = np.random.default_rng(0).integers(-60, 60, (200, 4)) * scale
        stepped = drawn + np.random.default_rng(1).choice([-1, 0, 1], drawn.shape) * scale
        apart = np.abs(_softmax(stepped) - _softmax(drawn)) * 256
        assert apart.max() <= reach
        assert reach == 1 or apart.max() > 1


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
