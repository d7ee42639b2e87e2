"""The generated text of a small model with a plan made by hand, against files kept here.

A change on purpose: `python tests/writers/c/test_c_golden.py` from the root writes them anew.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepack.ir.text import parse
from edgepack.writers.c import write_c

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("tiny.h", "tiny.c", "tiny_weights.h", "tiny_weights.c", "CMakeLists.txt", "Makefile")
TEXT = """
x: int8[1, 2, 3, 2] @ q(0.05, -3) = input()
w: int8[2, 1, 1, 2] @ q([0.01, 0.02], axis=0) = const([[[[1, -2]]], [[[3, 4]]]])
b: int32[2] @ q([0.0005, 0.001], axis=0) = const([100, -200])
c: q(0.06, -128) = Conv2d(x, w, b, activation="relu")
a: q(0.1, 4) = Add(c, x)
r: q(0.1, 4) = Reshape(a, shape=(6, 2))
y: q(0.00390625, -128) = Softmax(r)
output(y)
"""


def texts() -> dict[str, str]:
    graph = parse(TEXT)
    conv, add, reshape, softmax = graph.nodes
    values = (*graph.inputs, conv.output, add.output, reshape.output, softmax.output)
    plan: Any = SimpleNamespace(
        order=(conv, add, reshape, softmax),
        offsets=dict(zip(values, (0, 16, 0, 0, 16), strict=True)),
        scratch={conv: (32, 8)},
        expanded={},
        arena_bytes=40,
        is_free=lambda node: node is reshape,
    )
    files = write_c(graph, plan, "tiny")
    return {name: files[name] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_as_it_was(name: str) -> None:
    assert texts()[name] == (GOLDEN / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    for name, text in texts().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
