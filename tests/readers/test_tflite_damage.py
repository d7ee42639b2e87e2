"""Damaged TFLite files give one sentence: never a traceback, a hang or a crash."""

from __future__ import annotations

import random

import pytest

from edgepack.errors import BadModel, Unsupported
from edgepack.ir.text import parse
from edgepack.readers.tflite import read_tflite
from edgepack.writers.tflite import write_tflite
from tests.quantized_op_cases import QUANTIZED_CASES

NET = (
    "x: float32[1, 6, 6, 2] = input()\nw = random(3, 3, 3, 2)\nb = random(3)\n"
    'a = Conv2d(x, w, b, stride=(2, 2), activation="relu")\np = MaxPool2d(a, kernel=(2, 2))\n'
    "f = Reshape(p, shape=(1, 3))\nv = random(4, 3)\nd = FullyConnected(f, v)\n"
    "y = Softmax(d)\noutput(y)"
)
FILES = {
    "net": lambda: write_tflite(parse(NET)),
    "int8 convolution": lambda: write_tflite(QUANTIZED_CASES["conv2d/same_relu6"].graph()),
    "transposed": lambda: write_tflite(QUANTIZED_CASES["convtranspose2d/same"].graph()),
    "lstm": lambda: write_tflite(QUANTIZED_CASES["lstm/batch_major"].graph()),
    "slice": lambda: write_tflite(QUANTIZED_CASES["slice/strided"].graph()),
}


def read_or_refuse(data: bytes) -> None:
    """Whatever else is raised is the test's failure."""
    refusal: BadModel | None = None
    try:
        read_tflite(data)
    except Unsupported:
        return
    except BadModel as problem:
        refusal = problem
    assert refusal is None or "\n" not in refusal.message


@pytest.mark.parametrize("name", FILES)
def test_truncated(name: str) -> None:
    data = FILES[name]()
    for length in range(0, len(data), 37):
        read_or_refuse(data[:length])


@pytest.mark.parametrize("name", FILES)
def test_bits_flipped(name: str) -> None:
    data, rng = FILES[name](), random.Random(name)
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        read_or_refuse(bytes(broken))


@pytest.mark.parametrize("name", FILES)
def test_bytes_overwritten(name: str) -> None:
    data, rng = FILES[name](), random.Random(name)
    for _ in range(200):
        broken = bytearray(data)
        at = rng.randrange(len(broken) - 4)
        broken[at : at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4])
        read_or_refuse(bytes(broken))


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\0" * 64, b"PK\3\4" + b"\0" * 60, b"\xff" * 64]
)
def test_other_files(data: bytes) -> None:
    with pytest.raises(BadModel):
        read_tflite(data)


def test_a_missing_file_is_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadModel, match=r"cannot be read: No such file"):
        read_tflite(tmp_path / "absent.tflite")
