"""One small image classifier as files of several formats, written without torch or TensorFlow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite

TARGET = "nucleo-l4r5zi"
NET = """
    x: float32[1, 8, 8, 3] = input()
    w = random(8, 3, 3, 3)
    b = random(8)
    a = Conv2d(x, w, b, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu")
    m = ReduceMean(a, axes=(1, 2), keepdims=False)
    v = random(4, 8)
    d = FullyConnected(m, v)
    y = Softmax(d)
    output(y)
"""


def net() -> Graph:
    """The classifier: x float32[1, 8, 8, 3] to y float32[1, 4]."""
    return parse(NET)


@cache
def tflite_bytes() -> bytes:
    """As TFLite, NHWC."""
    return write_tflite(net())


@cache
def onnx_bytes(text: str = NET, *, nchw: bool = True) -> bytes:
    """As ONNX; the input is [1, 3, 8, 8] when `nchw`."""
    graph = parse(text)
    if nchw:
        graph.source.input_perms = {
            v.name: (0, 2, 3, 1) for v in graph.inputs if v.rank == 4
        }  # as if read from such a file
    legalize_onnx(graph)
    return write_onnx(graph)


def save_onnx(folder: Path, text: str = NET, *, nchw: bool = True) -> Path:
    """`folder`/net.onnx."""
    path = folder / "net.onnx"
    path.write_bytes(onnx_bytes(text, nchw=nchw))
    return path


def save_tflite(folder: Path) -> Path:
    """`folder`/net.tflite."""
    path = folder / "net.tflite"
    path.write_bytes(tflite_bytes())
    return path
