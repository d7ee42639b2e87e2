import pytest
from equivalence import rewritten

from edgepack.passes import duplicates

HEAD = "x: float32[2, 8] = input()\nz: float32[2, 4] = input()\n"

CASES = {
    "equal operators": (
        "eliminate_common_subexpressions", "a = Relu(x)\nb = Relu(x)\ny = Add(a, b)", 1,
    ),
    "equal chains": (
        "eliminate_common_subexpressions",
        "a = Relu(x)\nb = Relu(x)\nc = Sigmoid(a)\nd = Sigmoid(b)\ny = Add(c, d)", 2,
    ),
    "declines: other attributes": (
        "eliminate_common_subexpressions",
        "a = LeakyRelu(x, alpha=0.1)\nb = LeakyRelu(x, alpha=0.2)\ny = Add(a, b)", 0,
    ),
    "a split and its concat": (
        "cancel_splits", "s = Sigmoid(x)\na, b = Split(s, axis=1, sizes=(4, 4))\n"
        "y = Concat(a, b, axis=1)", 1,
    ),
    "a concat and its split": (
        "cancel_splits",
        "c = Concat(x, z, axis=1)\na, b = Split(c, axis=-1, sizes=(8, 4))\n"
        "d = Relu(a)\ne = Relu(b)\ny = Concat(e, d, axis=1)", 1,
    ),
    "declines: another order": (
        "cancel_splits", "a, b = Split(x, axis=1, sizes=(4, 4))\ny = Concat(b, a, axis=1)", 0,
    ),
    "declines: other joints": (
        "cancel_splits",
        "c = Concat(x, z, axis=1)\na, b = Split(c, axis=1, sizes=(4, 8))\n"
        "d = Relu(a)\ne = Relu(b)\ny = Concat(e, d, axis=1)", 0,
    ),
    "nested concats": (
        "merge_concats", "c = Concat(x, z, axis=1)\ny = Concat(z, c, axis=-1)", 1,
    ),
    "declines: nested along another axis": (
        "merge_concats", "c = Concat(x, x, axis=0)\nd = Concat(z, z, axis=0)\n"
        "y = Concat(c, d, axis=1)", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_duplicates(case):
    name, body, count = CASES[case]
    rewritten(HEAD + body + "\noutput(y)", getattr(duplicates, name), count)


def test_two_outputs_stay_two():
    body = "a = Relu(x)\nb = Relu(x)\noutput(a, b)"
    rewritten(HEAD + body, duplicates.eliminate_common_subexpressions, 0)
