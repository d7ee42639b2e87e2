"""Small torch functions and modules, one per way of using an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name everyone knows)
from torch import nn


@dataclass(frozen=True)
class Case:
    """`make` gives an nn.Module, or a function of the inputs; `inputs` are shapes or tensors."""

    make: Callable[..., Any]
    inputs: tuple[Any, ...]


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def f(function: Callable[..., Any], *inputs: Any) -> Case:
    return Case(lambda: Function(function), inputs)


def m(make: Callable[[], nn.Module], *inputs: Any) -> Case:
    return Case(make, inputs)


IMAGE = (2, 4, 9, 8)
SIGNAL = (2, 4, 11)
IDS = torch.tensor([[1, 0, 3], [2, 2, 1]])

CONVOLUTIONS = {
    "conv2d": m(lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), IMAGE),
    "conv2d no bias, rectangular": m(
        lambda: nn.Conv2d(4, 6, (3, 1), padding=(1, 0), bias=False), IMAGE
    ),
    "conv2d same": m(lambda: nn.Conv2d(4, 6, 4, padding="same"), IMAGE),
    "conv2d valid, dilated": m(lambda: nn.Conv2d(4, 6, 3, dilation=2, padding="valid"), IMAGE),
    "conv2d grouped": m(lambda: nn.Conv2d(4, 6, 3, groups=2), IMAGE),
    "conv2d depthwise": m(lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), IMAGE),
    "conv2d depthwise, multiplied": m(lambda: nn.Conv2d(4, 8, 3, groups=4), IMAGE),
    "conv2d reflect padding": m(
        lambda: nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"), IMAGE
    ),
    "conv2d without batch": m(lambda: nn.Conv2d(4, 6, 3), IMAGE[1:]),
    "conv1d": m(lambda: nn.Conv1d(4, 6, 5, stride=2, padding=2), SIGNAL),
    "conv1d same, dilated": m(lambda: nn.Conv1d(4, 6, 3, padding="same", dilation=2), SIGNAL),
    "conv1d depthwise": m(lambda: nn.Conv1d(4, 4, 3, groups=4), SIGNAL),
    "conv1d circular": m(lambda: nn.Conv1d(4, 6, 3, padding=2, padding_mode="circular"), SIGNAL),
    "transposed": m(lambda: nn.ConvTranspose2d(4, 6, 2, stride=2), IMAGE),
    "transposed, padded": m(
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, padding=1, output_padding=1), IMAGE
    ),
    "transposed, grouped": m(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False), IMAGE
    ),
    "transposed 1d": m(lambda: nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1), SIGNAL),
}

POOLS = {
    "max": m(lambda: nn.MaxPool2d(2), IMAGE),
    "max, padded": m(lambda: nn.MaxPool2d(3, 2, padding=1), IMAGE),
    "max, ceil": m(lambda: nn.MaxPool2d(2, ceil_mode=True), IMAGE),
    "max 1d": m(lambda: nn.MaxPool1d(3, 2, padding=1), SIGNAL),
    "average": m(lambda: nn.AvgPool2d(2), IMAGE),
    "average, padding counts": m(lambda: nn.AvgPool2d(3, 2, padding=1), IMAGE),
    "average, padding does not count": m(
        lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGE),
    "average, ceil": m(lambda: nn.AvgPool2d(2, ceil_mode=True), IMAGE),
    "average, ceil, padding counts": m(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 6)),
    "average, divisor": m(lambda: nn.AvgPool2d(3, 2, padding=1, divisor_override=5), IMAGE),
    "average 1d": m(lambda: nn.AvgPool1d(3, 2, padding=1), SIGNAL),
    "adaptive average to 1": m(lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive average, even": m(lambda: nn.AdaptiveAvgPool2d((3, 4)), IMAGE),
    "adaptive average, uneven": m(lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    "adaptive average 1d": m(lambda: nn.AdaptiveAvgPool1d(3), SIGNAL),
    "adaptive max to 1": m(lambda: nn.AdaptiveMaxPool2d(1), IMAGE),
    "adaptive max, uneven": m(lambda: nn.AdaptiveMaxPool2d((4, 3)), IMAGE),
    "adaptive max 1d": m(lambda: nn.AdaptiveMaxPool1d(4), SIGNAL),
    "lp pool": m(lambda: nn.LPPool2d(2, 2), (1, 2, 4, 4)),
}  # fmt: skip

NORMS = {
    "batch 2d": m(lambda: nn.BatchNorm2d(4), IMAGE),
    "batch 2d, not affine": m(lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "batch 1d": m(lambda: nn.BatchNorm1d(4), SIGNAL),
    "batch 1d, rank 2": m(lambda: nn.BatchNorm1d(4), (3, 4)),
    "layer": m(lambda: nn.LayerNorm(8), IMAGE),
    "layer, two dimensions": m(lambda: nn.LayerNorm((9, 8)), IMAGE),
    "layer, not affine": m(lambda: nn.LayerNorm(8, elementwise_affine=False), IMAGE),
    "rms": m(lambda: nn.RMSNorm(8, eps=1e-6), IMAGE),
    "group": m(lambda: nn.GroupNorm(2, 4), IMAGE),
    "group of all": m(lambda: nn.GroupNorm(1, 4), IMAGE),
    "group 1d": m(lambda: nn.GroupNorm(2, 4), SIGNAL),
    "instance": m(lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "instance 1d": m(lambda: nn.InstanceNorm1d(4), SIGNAL),
    "instance, tracked": m(lambda: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "local response": m(lambda: nn.LocalResponseNorm(3), IMAGE),
    "normalize": f(lambda x: F.normalize(x, dim=1), SIGNAL),
    "norm 1": f(lambda x: torch.linalg.vector_norm(x, 1, dim=-1), SIGNAL),
    "norm inf": f(lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1, keepdim=True), SIGNAL),
    "norm 3": f(lambda x: torch.norm(x, p=3, dim=-1), SIGNAL),
    "softmax": m(lambda: nn.Softmax(dim=1), SIGNAL),
    "log softmax": m(lambda: nn.LogSoftmax(dim=-1), SIGNAL),
    "weight norm": m(lambda: torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)),
}

_ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.ELU, lambda: nn.ELU(0.5), nn.SELU,
    lambda: nn.CELU(0.7), nn.LeakyReLU, nn.PReLU, lambda: nn.PReLU(4), nn.Hardswish,
    nn.Hardsigmoid, nn.Hardtanh, lambda: nn.Hardtanh(-0.5, 2), nn.SiLU, nn.GELU,
    lambda: nn.GELU("tanh"), nn.Softplus, lambda: nn.Softplus(beta=2), nn.Mish, nn.LogSigmoid,
    lambda: nn.GLU(1), nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink,
    lambda: nn.Threshold(0.1, -2.0), lambda: nn.ReLU(inplace=True), nn.Dropout, nn.Identity,
    lambda: nn.Softmin(dim=1),
)  # fmt: skip
ACTIVATIONS = {f"{i:02} {make()!r}": Case(make, (IMAGE,)) for i, make in enumerate(_ACTIVATIONS)}

ELEMENTWISE = {
    "arithmetic": f(lambda x, y: (x + 2 * y - 1) / (3 - x) * y, SIGNAL, SIGNAL),
    "alpha": f(lambda x, y: torch.add(x, y, alpha=0.5) - torch.sub(x, y, alpha=2), SIGNAL, SIGNAL),
    "broadcast": f(lambda x, y: x * y, IMAGE, (4, 1, 1)),
    "powers": f(lambda x: x**2 + x**3 + x**4 + (x * x + 1) ** -1 + (x * x + 1) ** -2, SIGNAL),
    "roots": f(lambda x: (x * x + 1).sqrt() + (x.abs() + 1).rsqrt() + x.abs() ** 0.5, SIGNAL),
    "pow": f(lambda x, y: (x.abs() + 0.1) ** y + 2**x + (x.abs() + 1) ** 1.7, SIGNAL, SIGNAL),
    "exp and log": f(lambda x: x.exp() + torch.expm1(x) + torch.exp2(x) + x.abs().log1p(), SIGNAL),
    "logs": f(lambda x: (x * x + 1).log() + (x * x + 1).log2() + (x * x + 1).log10(), SIGNAL),
    "trigonometry": f(lambda x: x.sin() * x.cos() + x.tan(), SIGNAL),
    "rounding": f(lambda x: (4 * x).floor() + (4 * x).ceil() + (4 * x).round() + (4 * x).trunc(),
                  SIGNAL),
    "round decimals": f(lambda x: torch.round(x, decimals=1), SIGNAL),
    "frac, sign, neg": f(lambda x: x.frac() + x.sign() - x, SIGNAL),
    "erf": f(lambda x: torch.erf(x), SIGNAL),
    "reciprocal": f(lambda x: 1 / (x * x + 1) + (x * x + 2).reciprocal(), SIGNAL),
    "division modes": f(
        lambda x, y: torch.div(x, y + 9, rounding_mode="floor")
        + torch.div(x, y + 9, rounding_mode="trunc"), SIGNAL, SIGNAL),
    "remainders": f(lambda x, y: x % (y.abs() + 1) + torch.fmod(x, y.abs() + 1), SIGNAL, SIGNAL),
    "floor division of integers": f(lambda i: i // 2 + i % 2, IDS),
    "maximum, minimum": f(lambda x, y: torch.maximum(x, y) + torch.minimum(x, y), SIGNAL, SIGNAL),
    "clamp": f(lambda x: x.clamp(-0.5, 0.7) + x.clamp(min=0) + x.clamp(max=0.3), SIGNAL),
    "clamp by tensors": f(lambda x, y: x.clamp(y, y + 1), SIGNAL, SIGNAL),
    "clamp integers": f(lambda i: i.clamp(1, 2), IDS),
    "comparisons": f(
        lambda x, y: torch.stack([x == y, x != y, x < y, x <= y, x > y, x >= y]).float(),
        SIGNAL, SIGNAL),
    "compare with numbers": f(lambda x, i: (x > 0.1).float().sum() + (i >= 2), SIGNAL, IDS),
    "logic": f(
        lambda x: ((x > 0) & (x < 1) | ~(x > -1)).float() + torch.logical_xor(x > 0, x < 0.5),
        SIGNAL),
    "where": f(lambda x, y: torch.where(x > 0, x, y) + torch.where(x > 0, 1.0, y), SIGNAL, SIGNAL),
    "masked fill": f(lambda x: x.masked_fill(x > 0.5, -1.0), SIGNAL),
    "addcmul, addcdiv": f(
        lambda x, y: torch.addcmul(x, y, y, value=0.5) + torch.addcdiv(x, y, y * y + 1),
        SIGNAL, SIGNAL),
    "lerp": f(lambda x, y: torch.lerp(x, y, 0.3) + torch.lerp(x, y, x), SIGNAL, SIGNAL),
    "isnan, isinf": f(lambda x: (x / x).isnan().float() + x.isinf(), (3, 3)),
    "promotion": f(lambda i: i * 0.5 + i.float() + i.double().to(torch.float32) + (i > 1), IDS),
    "casts": f(lambda x: (x * 3).int().float() + (x * 3).long() + x.bool(), SIGNAL),
}  # fmt: skip

REDUCTIONS = {
    "sums": f(lambda x: x.sum() + x.sum(1, keepdim=True) + x.sum((0, 2), keepdim=True), SIGNAL),
    "means": f(lambda x: x.mean((2, 3)) + x.mean(), IMAGE),
    "extremes": f(lambda x: x.amax(1) + x.amin((1,)) + x.max() - x.min(), SIGNAL),
    "max with index": f(lambda x: x.max(1), SIGNAL),
    "min with index": f(lambda x: x.min(-1, keepdim=True), SIGNAL),
    "prod": f(lambda x: x.prod(1), SIGNAL),
    "any, all": f(lambda x: (x > 1).any(1).float() + (x > -1).all(), SIGNAL),
    "argmax": f(lambda x: x.argmax(1) + x.argmin(1), SIGNAL),
    "argmax of all": f(lambda x: x.argmax(), SIGNAL),
    "argmax kept": f(lambda x: x.argmax(1, keepdim=True), SIGNAL),
    "variances": f(lambda x: x.var(1) + x.var(1, unbiased=False) + x.std((1,)) + x.var(), SIGNAL),
    "var_mean": f(lambda x: torch.var_mean(x, dim=1, keepdim=True), SIGNAL),
    "logsumexp": f(lambda x: x.logsumexp(1), SIGNAL),
    "cumsum": f(lambda x: x.cumsum(1), SIGNAL),
    "topk": f(lambda x: x.topk(3, dim=1), (2, 7, 3)),
    "smallest": f(lambda x: x.topk(2, largest=False), SIGNAL),
    "sort": f(lambda x: x.sort(-1), SIGNAL),
    "argsort": f(lambda x: x.argsort(1, descending=True), (2, 7, 3)),
    "triangles": f(lambda x: x.tril() + x.triu(1) * 2, (2, 5, 5)),
}

SHAPES = {
    "views": f(lambda x: x.view(2, -1).reshape(4, -1).flatten().unflatten(0, (2, -1)), IMAGE),
    "squeezes": f(lambda x: x[:, :1].squeeze(1).unsqueeze(0).unsqueeze(-1), SIGNAL),
    "permutes": f(lambda x: x.permute(0, 2, 3, 1).transpose(1, -1).movedim(0, 2), IMAGE),
    "T": f(lambda x: x.t() + x.mT, (3, 3)),
    "expands": f(lambda x: x[:, :1].expand(-1, 5, -1) + x[:, :1].expand(2, 5, 11), SIGNAL),
    "expand without repeating": f(lambda x: x.expand(1, 1, 3, 4) * 2, (3, 4)),
    "repeats": f(lambda x: x.repeat(2, 1, 3), SIGNAL),
    "repeat to a higher rank": f(lambda x: x.repeat(2, 1, 1, 2), SIGNAL),
    "repeat interleave": f(lambda x: x.repeat_interleave(2, 1), SIGNAL),
    "joins": f(lambda x, y: torch.cat([x, y], 1).sum() + torch.stack([x, y], -1), SIGNAL, SIGNAL),
    "hstack, vstack": f(lambda x, y: torch.hstack([x, y]).T + torch.vstack([x.T, y.T]),
                        (3, 3), (3, 3)),
    "splits": f(lambda x: x.split(3, 2) + x.split([5, 6], 2) + x.chunk(3, 2), SIGNAL),
    "unbind": f(lambda x: x.unbind(1), SIGNAL),
    "slices": f(lambda x: x[:, 1:3, ::2] + x[:, -3:-1, 1:12:2, None].squeeze(-1)[..., :1], SIGNAL),
    "select": f(lambda x: x[:, -1] + x.select(1, 2) + x.narrow(1, 1, 1)[:, 0], SIGNAL),
    "pads": f(lambda x: F.pad(x, (1, 2, 0, 3), value=0.5), IMAGE),
    "pad negative": f(lambda x: F.pad(x, (-1, 2, 1, -2)), IMAGE),
    "pad modes": f(
        lambda x: F.pad(x, (1, 2, 3, 1), "reflect") + F.pad(x, (1, 2, 3, 1), "replicate")
        + F.pad(x, (1, 2, 3, 1), "circular"), IMAGE),
    "pad 1d": f(lambda x: F.pad(x, (2, 2), "reflect") + F.pad(x, (2, 2), "replicate"), SIGNAL),
    "roll": f(lambda x: x.roll((2, -1), (2, 1)) + x.roll(3), SIGNAL),
    "flip": f(lambda x: x.flip((1, -1)), SIGNAL),
    "unfold": f(lambda x: x.unfold(2, 4, 3), SIGNAL),
    "write a slice": f(lambda x: _write(x), SIGNAL),
    "in place on a view": f(lambda x: _in_place(x), SIGNAL),
    "in place twice": f(lambda x: (x * 2).add_(1).relu_(), SIGNAL),
    "pixel shuffle": f(lambda x: F.pixel_shuffle(x, 2), (1, 8, 3, 4)),
    "pixel unshuffle": f(lambda x: F.pixel_unshuffle(x, 2), (1, 2, 6, 4)),
    "channel shuffle": m(lambda: nn.ChannelShuffle(2), IMAGE),
}  # fmt: skip


def _write(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 1:3] = x[:, :2] * 2
    y[:, 0] = 1.0
    return y


def _in_place(x: torch.Tensor) -> torch.Tensor:
    y = x * 1
    y[:, :2].mul_(3)
    return y + 1


INDEXING = {
    "index_select": f(lambda x: x.index_select(1, torch.tensor([2, 0])), SIGNAL),
    "index": f(lambda x: x[:, torch.tensor([[2, -1], [0, 1]])], SIGNAL),
    "index by two": f(lambda x: x[:, torch.tensor([2, 0]), torch.tensor([1, 5])], SIGNAL),
    "index by the input": f(lambda x, i: x[i], (5, 3), IDS),
    "gather": f(lambda x: x.gather(1, torch.tensor([[[0, 2, 1]], [[3, 1, 1]]])), SIGNAL),
    "gather by the input": f(lambda x, i: x.gather(1, i), (2, 5), IDS),
    "scatter": f(lambda x: x.scatter(1, torch.tensor([[0, 2], [3, 1]]), 9.0), (2, 5)),
    "scatter_add": f(lambda x: x.scatter_add(1, torch.tensor([[0, 2], [3, 1]]), x), (2, 5)),
    "embedding": m(lambda: nn.Embedding(5, 3), IDS),
    "one hot": f(lambda i: F.one_hot(i, 5).float(), IDS),
    "positions": f(lambda x: x + torch.arange(11, device=x.device).float() * 0.1, SIGNAL),
    "grids": f(
        lambda x: x + torch.stack(torch.meshgrid(torch.arange(2.0), torch.arange(3.0),
                                                 indexing="ij")), (2, 2, 3)),
}  # fmt: skip

RESAMPLING = {
    "nearest": m(lambda: nn.Upsample(scale_factor=2), IMAGE),
    "nearest to a size": f(lambda x: F.interpolate(x, (5, 13)), IMAGE),
    "nearest, uneven factor": f(lambda x: F.interpolate(x, scale_factor=1.3), IMAGE),
    "nearest exact": f(lambda x: F.interpolate(x, (5, 13), mode="nearest-exact"), IMAGE),
    "nearest 1d": f(lambda x: F.interpolate(x, scale_factor=2), SIGNAL),
    "bilinear": m(lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "bilinear, corners": f(
        lambda x: F.interpolate(x, (5, 13), mode="bilinear", align_corners=True), IMAGE),
    "bilinear to a size": f(lambda x: F.interpolate(x, (5, 13), mode="bilinear"), IMAGE),
    "bilinear, uneven factor": f(
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"), IMAGE),
    "linear": f(lambda x: F.interpolate(x, 17, mode="linear"), SIGNAL),
    "bicubic": f(lambda x: F.interpolate(x, (5, 13), mode="bicubic"), IMAGE),
    "bilinear, smoothed": f(
        lambda x: F.interpolate(x, (5, 4), mode="bilinear", antialias=True), IMAGE),
}  # fmt: skip

DENSE = {
    "linear": m(lambda: nn.Linear(8, 3), IMAGE),
    "linear, no bias": m(lambda: nn.Linear(11, 3, bias=False), SIGNAL),
    "bilinear layer": m(lambda: nn.Bilinear(3, 4, 5), (2, 3), (2, 4)),
    "matmul": f(lambda x, y: x @ y, (2, 3, 4), (2, 4, 5)),
    "matmul, broadcast": f(lambda x, y: x @ y, (2, 3, 4), (4, 5)),
    "matmul, vectors": f(lambda x, y: x @ y[0] + y @ x[0, 0], (2, 3, 4), (3, 4)),
    "bmm, baddbmm": f(lambda x, y: torch.baddbmm(torch.bmm(x, y), x, y, alpha=0.5),
                      (2, 3, 3), (2, 3, 3)),
    "addmm": f(lambda x, y: torch.addmm(x, x, y, beta=0.5, alpha=2), (3, 3), (3, 3)),
    "einsum": f(lambda x, y: torch.einsum("bij,bkj->bik", x, y), (2, 3, 4), (2, 5, 4)),
    "einsum, heads": f(
        lambda x, y: torch.einsum("bihd,bjhd->bhij", x, y), (2, 3, 2, 4), (2, 5, 2, 4)),
    "outer": f(lambda x, y: torch.outer(x, y), (3,), (4,)),
    "cdist": f(lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1).sqrt(), (3, 4), (5, 4)),
    "cosine": f(lambda x, y: F.cosine_similarity(x, y, dim=1), (3, 4), (3, 4)),
    "attention": f(lambda q: F.scaled_dot_product_attention(q, q, q), (1, 2, 5, 4)),
    "attention, causal": f(
        lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), (1, 2, 5, 4)),
    "attention, masked": f(
        lambda q: F.scaled_dot_product_attention(q, q, q, attn_mask=torch.eye(5) > 0),
        (1, 2, 5, 4)),
    "attention, scaled, biased": f(
        lambda q, b: F.scaled_dot_product_attention(q, q, q, attn_mask=b, scale=0.3),
        (1, 2, 5, 4), (5, 5)),
}  # fmt: skip


class Recurrent(nn.Module):
    """All results of a recurrent layer, from given states or from zero."""

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.layer, self.outputs = layer, outputs

    def forward(self, x: torch.Tensor, *hx: torch.Tensor) -> Any:
        start = None if not hx else hx if len(hx) > 1 else hx[0]
        y, last = self.layer(x, start)
        every = [y, *(last if isinstance(last, tuple) else [last])]
        return tuple(every[: self.outputs])


def r(make: Callable[[], nn.Module], *inputs: Any, outputs: int = 3) -> Case:
    return Case(lambda: Recurrent(make(), outputs), inputs)


SEQUENCE = (5, 2, 3)
BATCH_FIRST = (2, 5, 3)

RECURRENT = {
    "lstm": r(lambda: nn.LSTM(3, 4), SEQUENCE),
    "lstm, no cell": r(lambda: nn.LSTM(3, 4), SEQUENCE, outputs=2),
    "lstm, outputs only": r(lambda: nn.LSTM(3, 4), SEQUENCE, outputs=1),
    "lstm, batch first": r(lambda: nn.LSTM(3, 4, batch_first=True), BATCH_FIRST),
    "lstm, batch first, outputs only": r(
        lambda: nn.LSTM(3, 4, batch_first=True), BATCH_FIRST, outputs=1),
    "lstm, both ways, three layers": r(
        lambda: nn.LSTM(3, 4, 3, bidirectional=True), SEQUENCE),
    "lstm, both ways, two layers, no cell": r(
        lambda: nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True), BATCH_FIRST, outputs=2),
    "lstm, no bias": r(lambda: nn.LSTM(3, 4, bias=False), SEQUENCE),
    "lstm, no bias, outputs only": r(
        lambda: nn.LSTM(3, 4, bias=False), SEQUENCE, outputs=1),
    "lstm, dropout": r(lambda: nn.LSTM(3, 4, 2, dropout=0.5), SEQUENCE),
    "lstm, projected": r(lambda: nn.LSTM(3, 4, proj_size=2), SEQUENCE),
    "lstm, projected, both ways, no bias": r(
        lambda: nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True, bias=False), SEQUENCE),
    "lstm, states": r(lambda: nn.LSTM(3, 4, 2), SEQUENCE, (2, 2, 4), (2, 2, 4)),
    "lstm, without batch": r(lambda: nn.LSTM(3, 4), (5, 3)),
    "gru": r(lambda: nn.GRU(3, 4), SEQUENCE),
    "gru, batch first, both ways, two layers": r(
        lambda: nn.GRU(3, 4, 2, batch_first=True, bidirectional=True), BATCH_FIRST),
    "gru, no bias": r(lambda: nn.GRU(3, 4, bias=False), SEQUENCE),
    "gru, state": r(lambda: nn.GRU(3, 4), SEQUENCE, (1, 2, 4)),
    "gru, without batch": r(lambda: nn.GRU(3, 4), (5, 3)),
    "rnn": r(lambda: nn.RNN(3, 4), SEQUENCE),
    "rnn, relu, both ways, two layers": r(
        lambda: nn.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True), SEQUENCE),
    "rnn, state": r(lambda: nn.RNN(3, 4, batch_first=True), BATCH_FIRST, (1, 2, 4)),
    "lstm cell": m(lambda: nn.LSTMCell(3, 4), (2, 3)),
    "lstm cell, states": f(
        (lambda cell: lambda x, h, c: cell(x, (h, c)))(nn.LSTMCell(3, 4, bias=False)),
        (2, 3), (2, 4), (2, 4)),
    "gru cell": m(lambda: nn.GRUCell(3, 4), (2, 3), (2, 4)),
    "gru cell, no bias": m(lambda: nn.GRUCell(3, 4, bias=False), (2, 3)),
    "rnn cell": m(lambda: nn.RNNCell(3, 4), (2, 3), (2, 4)),
    "rnn cell, relu": m(lambda: nn.RNNCell(3, 4, nonlinearity="relu"), (2, 3)),
}  # fmt: skip

CASES: dict[str, Case] = {
    f"{family}: {name}": case
    for family, cases in {
        "convolution": CONVOLUTIONS, "pool": POOLS, "norm": NORMS, "activation": ACTIVATIONS,
        "elementwise": ELEMENTWISE, "reduction": REDUCTIONS, "shape": SHAPES,
        "index": INDEXING, "resample": RESAMPLING, "dense": DENSE,
        "recurrent": RECURRENT,
    }.items()
    for name, case in cases.items()
}  # fmt: skip
