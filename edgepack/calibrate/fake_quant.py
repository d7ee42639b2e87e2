"""Quantization that gradients pass: straight-through activations, learned scales, learned rounding.

Activations: Esser et al. 2020 (LSQ), arXiv:1902.08153. Weights: the rectified sigmoid of Nagel et
al. 2020 (AdaRound), arXiv:2004.10568, equations 21 to 24.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.calibrate.torch_kernels import Tensor, Torch
from edgepack.ir import Array, DType, QuantParams

_LOW: Final = -0.1  # the rectified sigmoid reaches beyond 0 and 1, so that it gets there
_HIGH: Final = 1.1
_HESITANT: Final = 0.1  # the share with which a search begins that starts at the lower integer
_DECIDED: Final = 1 - 2 * _HESITANT


def fake_quantize(torch: Torch, x: Tensor, params: QuantParams, dtype: DType) -> Tensor:
    """The real numbers that x becomes when it is stored as integers; any shape.

    `params` are per tensor. The gradient is 1 inside the range and 0 where it clips.
    """
    scale, zero = float(params.scale[0]), int(params.zero_point[0])
    y: Tensor = torch.fake_quantize_per_tensor_affine(x, scale, zero, *dtype.limits)
    return y


class LearnedScale:
    """An activation's scale as a variable, its zero point staying what it is.

    `log_scale` is what an optimizer changes: a step of 0.01 is one percent, whatever the tensor.
    """

    def __init__(self, torch: Torch, params: QuantParams, dtype: DType) -> None:
        self.torch = torch
        self.dtype = dtype
        self.zero = int(params.zero_point[0])
        self.log_scale = torch.tensor(float(np.log(params.scale[0])), requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        """X as integers would store it; the scale's gradient is that of LSQ."""
        scale = self.log_scale.exp()
        place = (x / scale).clamp(*(limit - self.zero for limit in self.dtype.limits))
        return (place + (place.round() - place).detach()) * scale

    def params(self) -> QuantParams:
        """The parameters as they have become."""
        return QuantParams.per_tensor(float(self.log_scale.detach().exp()), self.zero)


class LearnedRounding:
    """Whether each weight is rounded down or up, relaxed to something between.

    `w` are the real weights, `params` and `dtype` how they are stored. `start`, where given, has
    integers that were decided before: the search begins at them, and what each may become instead
    is its neighbour on the side of the real weight. Weights that are zero stay zero.
    """

    def __init__(
        self,
        torch: Torch,
        w: Array,
        params: QuantParams,
        dtype: DType,
        start: Array | None = None,
    ) -> None:
        self.torch = torch
        shape = [1] * w.ndim
        if params.axis is not None:
            shape[params.axis] = -1
        scale = params.scale.reshape(shape)
        self.top = dtype.limits[1]
        place = np.clip(w.astype(np.float64) / scale, -self.top, self.top)
        floor = np.floor(place) if start is None else start - (place < start)
        floor = np.clip(floor, -self.top, self.top - 1)
        self.scale = torch.tensor(scale)
        self._free = torch.tensor((w != 0).astype(np.float32))
        self.floor = torch.tensor(np.where(w == 0, 0, floor).astype(np.float32))
        share = place - floor if start is None else _HESITANT + (start > floor) * _DECIDED
        rest = np.clip((share - _LOW) / (_HIGH - _LOW), 1e-3, 1 - 1e-3)
        self.variable = torch.tensor(
            np.log(rest / (1 - rest)).astype(np.float32), requires_grad=True
        )

    def share(self) -> Tensor:
        """How far up each weight is rounded, 0 to 1, in the weights' shape."""
        share = (self.torch.sigmoid(self.variable) * (_HIGH - _LOW) + _LOW).clamp(0, 1)
        return share * self._free

    def weights(self) -> Tensor:
        """The real weights that stand for the present shares."""
        return (self.floor + self.share()) * self.scale

    def indecision(self, beta: float) -> Tensor:
        """Mean of 1 - |2h - 1| ** beta over the shares h: 0 when every one is 0 or 1."""
        return 1 - (2 * self.share() - 1).abs().pow(beta).mean()

    def stored(self) -> Array:
        """The integers after all is decided, int8."""
        up = (self.share() >= 0.5).float()
        q: Array = (self.floor + up).detach().numpy().astype(np.int8)
        return q


def annealed(done: int, total: int, warm: float = 0.2) -> float | None:
    """The exponent beta of `indecision` after `done` of `total` steps: from 20 down to 2.

    None in the first part `warm`, where nothing is pressed to decide.
    """
    part = (done / total - warm) / (1 - warm)
    return None if part < 0 else 2 + 18 * (1 - part)
