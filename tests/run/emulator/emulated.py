"""The small hand-written model of `small_model/`, and changes of it that break in known ways."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgepack.ir import Array, DType
from edgepack.profiles import load_target
from edgepack.run.base import TensorInfo
from edgepack.run.emulator import EmulatedModel, Wanted

FOLDER = Path(__file__).with_name("small_model")
INPUTS = [TensorInfo("x", (1, 16), DType.INT8)]
OUTPUTS = [TensorInfo("y", (1, 4), DType.INT8)]
WEIGHTS = np.array([(7 * i % 23) - 11 for i in range(64)]).reshape(4, 16)
X = (np.arange(16, dtype=np.int8) * 9 - 60).reshape(1, 16)

_NEEDED = {
    "gcc": (lambda: shutil.which("arm-none-eabi-gcc"), "arm-none-eabi-gcc is not installed"),
    "zig": (lambda: find_spec("ziglang"), "ziglang is not installed"),
    "unicorn": (lambda: find_spec("unicorn"), "unicorn is not installed"),
    "qemu": (lambda: shutil.which("qemu-system-arm"), "qemu-system-arm is not installed"),
}


def require(*tools: str) -> None:
    """Skip the test where one of the tools is missing."""
    for tool in tools:
        found, reason = _NEEDED[tool]
        if not found():
            pytest.skip(reason)


def a_compiler() -> str:
    """The quicker of the compilers that are there: zig builds its library for each core first."""
    if shutil.which("arm-none-eabi-gcc"):
        return "gcc"
    require("zig")
    return "zig"


def expected(x: Array) -> Array:
    """What `small_model` gives."""
    sums = x.astype(np.int32) @ WEIGHTS.T >> 4
    return np.maximum(np.clip(sums, -128, 127), 0).astype(np.int8)


def some_inputs(count: int) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.integers(-128, 128, (1, 16)).astype(np.int8) for _ in range(count)]


def opened(
    on: str, target: str = "nucleo-l4r5zi", folder: Path = FOLDER, **options: int
) -> EmulatedModel:
    """`folder` built for `target` with the tools of `on`, such as gcc+unicorn."""
    wanted = Wanted.parse(f"emulator:{on}")
    return EmulatedModel.open(
        folder, load_target(target), INPUTS, OUTPUTS, wanted=wanted, **options
    )


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the small model in `folder`, with `old` replaced in `file`."""
    copy = folder / "model_c"
    shutil.copytree(FOLDER, copy)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    return copy
