import pytest
from equivalence import ops, rewritten

from edgepack.passes import identities

HEAD = """
x: float32[2, 4, 4, 3] = input()
v: float32[1, 3] = input()
zero = const(0)
one = full(1, 3)
"""

REMOVED = {
    "Reshape": ("Reshape(x, shape=(2, 4, 4, 3))", 1),
    "Transpose": ("Transpose(x, perm=(0, 1, 2, 3))", 1),
    "Slice": ("Slice(x, begin=(0, 0, 0, 0), size=(2, 4, 4, 3), stride=(1, 1, 1, 1))", 1),
    "Pad": ("Pad(x, pads=((0, 0), (0, 0), (0, 0), (0, 0)))", 1),
    "Concat": ("Concat(x, axis=1)", 1),
    "Cast": ("Cast(x, to='float32')", 1),
    "Tile": ("Tile(x, multiples=(1, 1, 1, 1))", 1),
    "Mul by 1": ("Mul(x, one)", 1),
    "Add 0": ("Add(zero, x)", 1),
    "Sub 0": ("Sub(x, zero)", 1),
    "Div by 1": ("Div(x, one)", 1),
    "a window of one pixel": ("AveragePool2d(x, kernel=(1, 1))", 1),
    "declines: 0 minus x": ("Sub(zero, x)", 0),
    "declines: an activation": ("Add(x, zero, activation='relu')", 0),
    "declines: reversed": (
        "Slice(x, begin=(0, 3, 0, 0), size=(2, 4, 4, 3), stride=(1, -1, 1, 1))",
        0,
    ),
    "declines: another order": ("Transpose(x, perm=(0, 2, 1, 3))", 0),
    "declines: it broadcasts": ("Mul(v, full16)", 0),
    "declines: strides": ("AveragePool2d(x, kernel=(1, 1), stride=(2, 2))", 0),
}


@pytest.mark.parametrize("case", REMOVED)
def test_remove_identities(case):
    call, count = REMOVED[case]
    text = f"{HEAD}full16: float32[2, 3] = full(1, 2, 3)\na = {call}\ny = Sigmoid(a)\noutput(y)"
    rewritten(text, identities.remove_identities, count)


def test_an_output_is_not_replaced_by_an_input():
    rewritten(
        HEAD + "y = Reshape(x, shape=(2, 4, 4, 3))\noutput(y)", identities.remove_identities, 0
    )


def test_an_output_keeps_its_name():
    text = HEAD + "s = Sigmoid(x)\ny = Add(s, zero)\noutput(y)"
    rewritten(text, identities.remove_identities, 1)


CHAINS = {
    "reshapes": (
        "merge_reshapes",
        "a = Reshape(x, shape=(8, 12))\ny = Reshape(a, shape=(96,))",
        1,
        ["Reshape"],
    ),
    "a mean that drops its ones": (
        "merge_reshapes",
        "a = ReduceMean(x, axes=(1, 2), keepdims=True)\ny = Reshape(a, shape=(2, 3))",
        1,
        ["ReduceMean"],
    ),
    "declines: a mean with another reader": (
        "merge_reshapes",
        "a = ReduceMean(x, axes=(1, 2), keepdims=True)\nb = Reshape(a, shape=(2, 1, 3))\n"
        "y = Add(a, b)",
        0,
        ["ReduceMean", "Reshape", "Add"],
    ),
    "transposes": (
        "merge_transposes",
        "a = Transpose(x, perm=(0, 3, 1, 2))\ny = Transpose(a, perm=(1, 2, 0, 3))",
        1,
        ["Transpose"],
    ),
    "declines: one transpose": (
        "merge_transposes",
        "a = Transpose(x, perm=(0, 3, 1, 2))\ny = Sigmoid(a)",
        0,
        ["Transpose", "Sigmoid"],
    ),
    "pads": (
        "merge_pads",
        "a = Pad(x, pads=((0, 0), (1, 0), (0, 0), (0, 0)))\n"
        "y = Pad(a, pads=((0, 0), (1, 2), (0, 0), (0, 1)))",
        1,
        ["Pad"],
    ),
    "declines: pads of other values": (
        "merge_pads",
        "a = Pad(x, pads=((0, 0), (1, 0), (0, 0), (0, 0)), value=1.0)\n"
        "y = Pad(a, pads=((0, 0), (1, 2), (0, 0), (0, 1)))",
        0,
        ["Pad", "Pad"],
    ),
    "a broadcast": (
        "drop_broadcasts",
        "a = BroadcastTo(v, shape=(2, 4, 4, 3))\ny = Mul(x, a)",
        1,
        ["Mul"],
    ),
    "declines: a broadcast that decides the shape": (
        "drop_broadcasts",
        "a = BroadcastTo(v, shape=(4, 3))\ny = Mul(a, one)",
        0,
        ["BroadcastTo", "Mul"],
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_chains(case):
    name, body, count, left = CHAINS[case]
    graph = rewritten(HEAD + body + "\noutput(y)", getattr(identities, name), count)
    assert ops(graph) == left
