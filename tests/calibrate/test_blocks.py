"""Blocks end where few values are alive, and have few layers."""

from __future__ import annotations

import pytest

from edgepack.calibrate.blocks import find_blocks
from edgepack.ir import Node
from edgepack.ir.text import parse


def _chain(count: int) -> str:
    lines = ["x0: float32[1, 4, 4, 2] = input()"]
    for i in range(count):
        lines += [f"w{i} = random(2, 1, 1, 2)", f"x{i + 1} = Conv2d(x{i}, w{i})"]
    return "\n".join([*lines, f"output(x{count})"])


RESIDUALS = """
    x: float32[1, 4, 4, 2] = input()
    w = random(2, 1, 1, 2)
    stem = Conv2d(x, w)
    a = Conv2d(stem, w)
    b = Conv2d(a, w)
    c = Add(stem, b, activation="relu")
    d = Conv2d(c, w)
    e = Conv2d(d, w)
    f = Add(c, e, activation="relu")
    g = Conv2d(f, w)
    y = ReduceMean(g, axes=(1, 2))
    output(y)
"""
# the skip from `down` passes by all the inner ones
U_NET = """
    x: float32[1, 4, 4, 2] = input()
    w = random(2, 1, 1, 2)
    down = Conv2d(x, w)
    a = Conv2d(down, w)
    b = Conv2d(a, w)
    c = Add(a, b)
    d = Conv2d(c, w)
    e = Conv2d(d, w)
    f = Add(c, e)
    h = Conv2d(f, w)
    i = Conv2d(h, w)
    j = Add(f, i)
    g = Conv2d(j, w)
    y = Add(down, g)
    output(y)
"""
TWO_HEADS = """
    x: float32[1, 4, 4, 2] = input()
    w = random(2, 1, 1, 2)
    stem = Conv2d(x, w)
    a = Conv2d(stem, w)
    y = Conv2d(a, w)
    b = Conv2d(stem, w)
    z = Conv2d(b, w)
    output(y, z)
"""

CASES = {
    "chain": (_chain(7), ["x1 x2 x3", "x4 x5 x6", "x7"]),
    "residuals": (RESIDUALS, ["stem", "a b c", "d e f", "g y"]),
    "u_net": (U_NET, ["down a b c", "d e f", "h i j", "g y"]),
    "two_heads": (TWO_HEADS, ["stem", "a y b z"]),
}


@pytest.mark.parametrize("name", CASES)
def test_blocks(name: str) -> None:
    text, wanted = CASES[name]
    graph = parse(text)
    blocks = find_blocks(graph, lambda node: node.op == "Conv2d")
    assert [" ".join(n.name for n in block) for block in blocks] == wanted
    assert [n for block in blocks for n in block] == graph.nodes


def test_layers_that_do_not_count_are_carried_along() -> None:
    graph = parse(_chain(4))

    def ends_count(node: Node) -> bool:
        return node.name in ("x1", "x4")

    (block,) = find_blocks(graph, ends_count)
    assert len(block) == 4
