"""A small depthwise-separable CNN for 28x28 digits: the factory that edgepack reads."""

from torch import Tensor, nn


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise 1x1 convolution, each with BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Digits(nn.Module):
    """Pixels [N, 1, 28, 28] between 0 and 1 in, ten logits out; 24 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.body = nn.Sequential(
            separable(16, 32, 1), separable(32, 64, 2), separable(64, 96, 1), separable(96, 128, 2)
        )
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each image."""
        return self.head(self.body(self.stem(x)).mean(dim=(2, 3)))


def digits() -> nn.Module:
    """The untrained network; give its weights with --weights."""
    return Digits()
