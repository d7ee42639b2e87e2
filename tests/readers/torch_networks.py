"""Small networks of the kinds people bring: what a PyTorch model is made of as a whole."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everyone knows)
from torch import nn


class BasicBlock(nn.Module):
    """Two convolutions; where the shape changes, the shortcut skips pixels and pads channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.extra:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.extra // 2, self.extra // 2))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """The CIFAR-10 networks of He et al. 2015, section 4.2, with shortcuts of kind A."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1)
        self.layer2 = self._stage(16, 32, blocks, 2)
        self.layer3 = self._stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
        return nn.Sequential(BasicBlock(inputs, outputs, stride), *rest)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.avg_pool2d(x, x.shape[3]).flatten(1))


class UNet(nn.Module):
    """Down, up by a transposed convolution and by a resize, with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self._double(3, 8), self._double(8, 16)
        self.bottom = self._double(16, 16)
        self.up = nn.ConvTranspose2d(16, 16, 2, stride=2)
        self.merge1, self.merge2 = self._double(32, 8), self._double(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        deep = self.up(self.bottom(F.max_pool2d(second, 2)))
        y = self.merge1(torch.cat([second, deep], 1))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(self.merge2(torch.cat([first, y], 1)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.gate = nn.Hardsigmoid(inplace=True)

    def forward(self, x):
        return x * self.gate(self.fc2(F.relu(self.fc1(self.pool(x)))))


class MobileBlock(nn.Module):
    """Inverted residual with squeeze-and-excite and HardSwish."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = channels * 3
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(True),
            nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False), nn.BatchNorm2d(wide),
            nn.Hardswish(inplace=True), SqueezeExcite(wide),
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return x + self.body(x)


class Mobile(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Hardswish(), MobileBlock(8), MobileBlock(8),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5),
        )  # fmt: skip


class ViT(nn.Module):
    """Patches, a class token, positions and two encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        layer = nn.TransformerEncoderLayer(
            16, 2, 32, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.positions
        return self.head(self.norm(self.encoder(tokens))[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **options) -> None:
        super().__init__()
        self.rnn = kind(6, 5, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class AudioNet(nn.Module):
    """Convolutions over a waveform, GroupNorm, statistics over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, 8, 9, stride=4, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.conv2 = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.bn = nn.BatchNorm1d(8)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = F.leaky_relu(self.norm(self.conv1(x)), 0.1)
        x = F.max_pool1d(F.silu(self.bn(self.conv2(x))), 2)
        return self.head(torch.cat([x.mean(2), x.std(2)], 1)).log_softmax(-1)


class Neck(nn.Module):
    """Two levels of a feature pyramid with heads reshaped to boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1)])
        self.heads = nn.ModuleList([nn.Conv2d(8, 3 * 5, 3, padding=1) for _ in range(2)])

    def forward(self, fine, coarse):
        top = self.lateral[1](coarse)
        low = self.lateral[0](fine) + F.interpolate(top, size=fine.shape[-2:], mode="nearest")
        boxes = []
        for head, level in zip(self.heads, (low, top), strict=True):
            n, _, h, w = level.shape
            y = head(level).view(n, 3, 5, h, w).permute(0, 1, 3, 4, 2).contiguous()
            xy, rest = y[..., :2].sigmoid() * 2 - 0.5, y[..., 2:]
            boxes.append(torch.cat((xy, rest), -1).view(n, -1, 5))
        return torch.cat(boxes, 1)


NETWORKS = {
    "resnet": (lambda: CifarResNet(1), [(1, 3, 32, 32)]),
    "u-net": (UNet, [(1, 3, 16, 16)]),
    "mobile": (Mobile, [(1, 3, 24, 24)]),
    "vit": (ViT, [(1, 3, 16, 16)]),
    "lstm": (lambda: Recurrent(nn.LSTM, batch_first=True), [(1, 4, 6)]),
    "lstm both ways, two layers": (
        lambda: Recurrent(nn.LSTM, bidirectional=True, num_layers=2), [(4, 2, 6)]),
    "gru": (lambda: Recurrent(nn.GRU, batch_first=True, bidirectional=True), [(1, 4, 6)]),
    "rnn": (lambda: Recurrent(nn.RNN), [(4, 1, 6)]),
    "audio": (AudioNet, [(1, 1, 200)]),
    "neck": (Neck, [(1, 8, 8, 8), (1, 16, 4, 4)]),
}  # fmt: skip
