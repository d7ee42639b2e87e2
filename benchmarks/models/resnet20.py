"""ResNet-20 for CIFAR-10 (He et al. 2016, option-A shortcuts) with weights from the shared folder.

Each shortcut that changes the size takes every second pixel and pads the channels with zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64)
SHAPE = (1, 3, 32, 32)


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut without parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.pad = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return functional.relu(y + x)


class ResNet(nn.Module):
    """`blocks` per stage: 3 make ResNet-20, 5 make ResNet-32. [N, 3, 32, 32] to ten logits."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        width = WIDTHS[0]
        for index, outputs in enumerate(WIDTHS, 1):
            stage = []
            for number in range(blocks):
                stage.append(Block(width, outputs, 2 if index > 1 and not number else 1))
                width = outputs
            setattr(self, f"layer{index}", nn.Sequential(*stage))
        self.linear = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each image."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def resnet20() -> nn.Module:
    """The untrained network in eval mode; give the state dict with --weights."""
    model = ResNet(3).eval()
    model.example_inputs = (torch.zeros(SHAPE),)
    return model
