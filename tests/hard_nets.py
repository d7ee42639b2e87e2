"""The networks whose int8 versions people complain of, small, and trained here within seconds.

Data: the 1,797 handwritten digits, 8x8, that ship with scikit-learn; every fourth is held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn: Any = torch.nn

CALIBRATION = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A trained network, and samples [N, ...] as it takes them; `y` are classes or None."""

    model: Any
    calibration: np.ndarray
    x: np.ndarray
    y: np.ndarray | None = None


@cache
def digits() -> tuple[Any, Any, Any, Any]:
    """Images [N, 1, 8, 8] within 0..1 and classes: to train on, and held out."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_digits(return_X_y=True)
    images = torch.tensor(x.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    classes, held = torch.tensor(y), torch.arange(len(y)) % 4 == 0
    return images[~held], classes[~held], images[held], classes[held]


def fit(model: Any, x: Any, y: Any, loss: Callable[..., Any], epochs: int, rate: float) -> None:
    """Adam over batches of 64, one thread, a rate that falls to zero; deterministic."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = epochs * -(-len(x) // 64)
        optimizer = torch.optim.Adam(model.parameters(), rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        model.train()
        for _ in range(epochs):
            for part in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                loss(model(x[part]), y[part]).backward()
                optimizer.step()
                schedule.step()
        model.eval()
    finally:
        torch.set_num_threads(threads)


def classifier(
    make: Callable[[], Any], epochs: int, rate: float = 3e-3, shape: tuple[int, ...] = (1, 8, 8)
) -> Case:
    """A network that is trained to tell digits of this shape apart."""
    torch.manual_seed(0)
    model = make()
    x, y, test, classes = digits()
    x, test = x.reshape(-1, *shape), test.reshape(-1, *shape)
    fit(model, x, y, nn.functional.cross_entropy, epochs, rate)
    return Case(model, x[:CALIBRATION].numpy(), test.numpy(), classes.numpy())


# -- a. HardSwish and squeeze-excite ---------------------------------------------------------------


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Any) -> Any:
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(gate)


class _Inverted(nn.Module):
    """MobileNetV3's block: expand, depthwise, squeeze-excite, project."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.residual = inputs == outputs and stride == 1
        self.body = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide),
            nn.Hardswish(), _SqueezeExcite(wide),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        return x + y if self.residual else y


def _mobilenet_v3() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        _Inverted(16, 16, 1), _Inverted(16, 24, 2), _Inverted(24, 24, 1), _Inverted(24, 32, 2),
        nn.Conv2d(32, 96, 1, bias=False), nn.BatchNorm2d(96), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 64), nn.Hardswish(), nn.Linear(64, 10),
    )  # fmt: skip


@cache
def mobilenet_v3() -> Case:
    """HardSwish, squeeze-excite and residual adds, as in MobileNetV3."""
    return classifier(_mobilenet_v3, epochs=3)


# -- b. sigmoid, softmax, products -----------------------------------------------------------------


class _Gated(nn.Module):
    """Gated layers (x * sigmoid(g)), and pooling by softmax over the 64 pixels of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 64, 3, 1, 1), nn.Linear(32, 64)
        self.score, self.head = nn.Linear(32, 1), nn.Linear(32, 10)
        self.place = nn.Parameter(torch.randn(1, 64, 32) / 2)

    def forward(self, x: Any) -> Any:
        a, g = self.first(x).flatten(2).transpose(1, 2).chunk(2, -1)
        x = a * torch.sigmoid(g) + self.place
        a, g = self.second(x).chunk(2, -1)
        x = x + nn.functional.silu(g) * a
        return self.head((x * torch.softmax(self.score(x), 1)).sum(1))


@cache
def gated() -> Case:
    """Products with sigmoids and with a softmax over many elements."""
    return classifier(_Gated, epochs=12, rate=1e-2)


# -- c. concatenations and sums of very different ranges -------------------------------------------


class _Uneven(nn.Module):
    """Features beside raw sums 100 times as large; then a residual as small against its sum."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(1, 8, 3, 1, 1)
        self.mix, self.thin = nn.Conv2d(24, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 1, 1)
        self.last, self.head = nn.Conv2d(32, 32, 3, 2, 1), nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        parts = [torch.relu(self.fine(x)), torch.relu(self.coarse(x))]
        y = torch.relu(self.mix(torch.cat(parts, 1)))
        y = y + torch.relu(self.thin(y))
        return self.head(torch.relu(self.last(y)).mean((2, 3)))


@cache
def uneven() -> Case:
    """Concat of parts whose ranges are 100 times apart, Add of some that are 20 times apart.

    Units chosen after training: the function is what was trained.
    """
    case = classifier(_Uneven, epochs=8, rate=1e-2)
    with torch.no_grad():
        for layer, factor in ((case.model.fine, 0.1), (case.model.coarse, 10.0)):
            layer.weight *= factor
            layer.bias *= factor
        case.model.mix.weight[:, :16] /= 0.1
        case.model.mix.weight[:, 16:] /= 10.0
        case.model.thin.weight /= 20
        case.model.thin.bias /= 20
    return case


# -- d. boxes and scores in one tensor -------------------------------------------------------------

CANVAS = 160.0


class _Detector(nn.Module):
    """For each cell of a 4x4 grid: a box in pixels of a 160-pixel canvas, and scores within 0..1.

    Boxes and scores come out in one tensor [1, 14, 16], as YOLO's exports have it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip
        self.box, self.score = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 10, 1)
        rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        self.register_buffer("corner", torch.stack([columns, rows]).reshape(1, 2, 16) * CANVAS / 4)

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        box, score = self.box(y).flatten(2), torch.sigmoid(self.score(y).flatten(2))
        center = self.corner + torch.sigmoid(box[:, :2]) * (CANVAS / 4)
        size = torch.sigmoid(box[:, 2:]) * CANVAS
        return torch.cat([center, size, score], 1)


def _scene(images: Any, classes: Any) -> tuple[Any, Any]:
    """Digits put somewhere on canvases of 16x16 cells; targets [N, 14, 16], NaN where no digit."""
    count = len(images)
    canvas, wanted = torch.zeros(count, 1, 16, 16), torch.full((count, 14, 16), torch.nan)
    wanted[:, 4:] = 0
    for i, (row, column) in enumerate(torch.randint(0, 9, (count, 2)).tolist()):
        canvas[i, 0, row : row + 8, column : column + 8] = images[i, 0]
        x, y = (column + 4) * CANVAS / 16, (row + 4) * CANVAS / 16
        cell = int(y // (CANVAS / 4)) * 4 + int(x // (CANVAS / 4))
        wanted[i, :4, cell] = torch.tensor([x, y, CANVAS / 2, CANVAS / 2])
        wanted[i, 4 + int(classes[i]), cell] = 1
    return canvas, wanted


def _detection_loss(found: Any, wanted: Any) -> Any:
    there = ~wanted[:, :4].isnan()
    boxes = (found[:, :4] - wanted[:, :4])[there].square().mean() / CANVAS**2
    scores = nn.functional.binary_cross_entropy(found[:, 4:], wanted[:, 4:])
    return 5 * boxes + 10 * scores


@cache
def detector() -> Case:
    """A detection head whose boxes span 0..160 and whose scores span 0..1."""
    torch.manual_seed(0)
    model = _Detector()
    x, y, test, classes = digits()
    canvas, wanted = _scene(x, y)
    fit(model, canvas, wanted, _detection_loss, 12, 5e-3)
    seen, _ = _scene(test, classes)
    return Case(model, canvas[:CALIBRATION].numpy(), seen.numpy())


# -- e. transformers -------------------------------------------------------------------------------


class _Block(nn.Module):
    def __init__(self, size: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x: Any) -> Any:
        x = x + self.out(self.attend(self.qkv(self.norm1(x))))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    def attend(self, qkv: Any) -> Any:
        batch, steps, size = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        parts = qkv.reshape(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        weights = torch.softmax(q @ k.transpose(-1, -2) / (size / self.heads) ** 0.5, -1)
        return (weights @ v).transpose(1, 2).reshape(batch, steps, size)


class _Transformer(nn.Module):
    """The rows of an image as tokens."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(8, size), nn.Parameter(torch.randn(1, 8, size) / 5)
        self.blocks = nn.Sequential(_Block(size), _Block(size))
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.blocks(self.embed(x) + self.place)).mean(1))


@cache
def transformer() -> Case:
    """LayerNorm, GELU and attention; two channels of each LayerNorm 40 times as large as others.

    Large transformers grow such channels in training, small ones in seconds do not: here gamma and
    beta are scaled up, and the weights that read them down, which leaves the function as it is.
    """
    case = classifier(_Transformer, epochs=10, shape=(8, 8))
    with torch.no_grad():
        for block in case.model.blocks:
            for norm, layer in ((block.norm1, block.qkv), (block.norm2, block.up)):
                for channel in (3, 17):
                    norm.weight[channel] *= 40
                    norm.bias[channel] *= 40
                    layer.weight[:, channel] /= 40
    return case


# -- f. recurrent networks -------------------------------------------------------------------------


class _Recurrent(nn.Module):
    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        y, _ = self.cell(x)
        return self.head(y[:, -1])


@cache
def lstm() -> Case:
    """An LSTM over 16 half rows of an image."""
    return classifier(lambda: _Recurrent(nn.LSTM(4, 32, batch_first=True)), 12, 1e-2, (16, 4))


@cache
def lstm_stacked() -> Case:
    """Two LSTMs, the second over the steps of the first."""
    make = lambda: _Recurrent(nn.LSTM(8, 32, 2, batch_first=True))  # noqa: E731
    return classifier(make, 10, 1e-2, (8, 8))


@cache
def gru() -> Case:
    """A GRU over the rows of an image."""
    return classifier(lambda: _Recurrent(nn.GRU(8, 32, batch_first=True)), 10, 1e-2, (8, 8))


# -- g. outputs that span decades ------------------------------------------------------------------


class _Decades(nn.Module):
    """Four estimates of an image's ink: as a share, in thousandths, in pixels and its square."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
        )
        self.head = nn.Linear(32, 4)
        self.register_buffer("unit", torch.tensor([1.0, 1e-3, 64.0, 4096.0]))

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x)) * self.unit


@cache
def decades() -> Case:
    """One output tensor whose elements are thousandths, ones, tens and thousands."""
    torch.manual_seed(0)
    model = _Decades()
    x, _, test, _ = digits()
    ink, left = x.mean((1, 2, 3)), x[:, 0, :, :4].mean((1, 2))
    wanted = torch.stack([ink, left, 1 - ink, ink**2], 1) * model.unit
    loss = lambda found, y: ((found - y) / model.unit).square().mean()  # noqa: E731
    fit(model, x, wanted, loss, 8, 3e-3)
    return Case(model, x[:CALIBRATION].numpy(), test.numpy())
