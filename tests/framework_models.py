"""Small models saved by TensorFlow and PyTorch themselves, healthy and not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NETWORK = """
import torch
def make():
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 4)
    return torch.nn.Sequential(*layers).eval()
"""


class Malicious:
    """Unpickled, it makes the folder `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def save_keras(folder: Path) -> None:
    """net.keras, net.h5 and saved/; nan.* with a NaN weight; code.* with a Lambda layer."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    layers = tf.keras.layers
    net = tf.keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    _save_all(net, folder, "net", "saved")
    weights = net.get_weights()
    weights[0][0, 0, 0, 0] = np.nan
    net.set_weights(weights)
    _save_all(net, folder, "nan", "nan_saved")
    code = tf.keras.Sequential(
        [layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)]
    )
    code.save(folder / "code.keras")
    code.save(folder / "code.h5")


def _save_all(model: Any, folder: Path, name: str, saved: str) -> None:
    model.save(folder / f"{name}.keras")
    model.save(folder / f"{name}.h5")
    model.export(str(folder / saved), verbose=False)


def save_torch(folder: Path) -> None:
    """net.py, net.pt2, net.pth; nan.pt2, nan.pth; whole.pth and bad.pth, which are pickles."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    (folder / "net.py").write_text(NETWORK)
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    net, sample = names["make"](), (torch.zeros(1, 3, 8, 8),)
    torch.export.save(torch.export.export(net, sample), folder / "net.pt2")
    torch.save(net.state_dict(), folder / "net.pth")
    torch.save(net, folder / "whole.pth")
    torch.save({"0.weight": Malicious(folder / "HACKED")}, folder / "bad.pth")
    less = net.state_dict()
    less.pop("3.bias")
    torch.save(less, folder / "less.pth")
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] = float("nan")
    torch.export.save(torch.export.export(net, sample), folder / "nan.pt2")
    torch.save(net.state_dict(), folder / "nan.pth")
