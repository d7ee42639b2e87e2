from equivalence import ops, rewritten

from edgepack.passes.tflite.flatten import flatten_into_dense

FIRES = """
    x: float32[1, 2, 3, 4] = input()
    r = Reshape(x, shape=(1, 24))
    w = random(5, 24)
    y = FullyConnected(r, w)
    output(y)"""
DECLINES = """
    x: float32[1, 2, 3, 4] = input()
    r = Reshape(x, shape=(1, 1, 24))
    w = random(5, 24)
    y = FullyConnected(r, w)
    output(y)"""


def test_a_reshape_that_only_flattens_goes():
    assert ops(rewritten(FIRES, flatten_into_dense, 1)) == ["FullyConnected"]


def test_kept_dimensions_keep_the_reshape():
    rewritten(DECLINES, flatten_into_dense, 0)
