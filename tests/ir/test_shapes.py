"""Shape rules: what comes out, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from edgepack.errors import BadModel
from edgepack.ir import DType, Value, node_macs
from edgepack.ir.ops import complete_attrs, infer
from edgepack.ir.shapes import broadcast, join_layout, normal_axis, split_layout
from edgepack.ir.text import parse

Shape = tuple[int, ...]
Rule = tuple[str, list[Shape], dict[str, Any]]

RIGHT: dict[str, tuple[Rule, list[Shape]]] = {
    "conv": (("Conv2d", [(1, 8, 8, 3), (4, 3, 3, 3)], {}), [(1, 6, 6, 4)]),
    "conv channels first": (
        ("Conv2d", [(1, 3, 8, 8), (4, 3, 3, 3)], {"layout": "NCHW"}), [(1, 4, 6, 6)]),
    "conv stride and pad": (
        ("Conv2d", [(1, 7, 8, 3), (4, 3, 3, 3)], {"stride": (2, 3), "pad": ((1, 1), (0, 1))}),
        [(1, 4, 3, 4)]),
    "conv dilation": (
        ("Conv2d", [(1, 9, 9, 3), (4, 3, 3, 3)], {"dilation": (2, 4)}), [(1, 5, 1, 4)]),
    "conv groups": (("Conv2d", [(1, 3, 3, 4), (6, 3, 3, 2)], {"groups": 2}), [(1, 1, 1, 6)]),
    "conv 3-D": (("Conv3d", [(1, 4, 5, 6, 2), (3, 2, 2, 2, 2)], {}), [(1, 3, 4, 5, 3)]),
    "depthwise multiplier": (
        ("DepthwiseConv2d", [(1, 4, 4, 3), (1, 3, 3, 6)], {}), [(1, 2, 2, 6)]),
    "transposed": (
        ("ConvTranspose2d", [(1, 4, 4, 3), (2, 3, 3, 3)],
         {"stride": (2, 2), "pad": ((1, 1), (0, 0)), "output_pad": (1, 0)}), [(1, 8, 9, 2)]),
    "dense keeps leading dimensions": (("FullyConnected", [(2, 3, 8), (5, 8)], {}), [(2, 3, 5)]),
    "matmul broadcasts": (("MatMul", [(2, 1, 3, 4), (5, 4, 6)], {}), [(2, 5, 3, 6)]),
    "matmul adjoint": (("MatMul", [(4, 3), (6, 4)], {"adj_a": True, "adj_b": True}), [(3, 6)]),
    "pool": (("MaxPool2d", [(1, 7, 7, 2)], {"kernel": (3, 3), "stride": (2, 2)}), [(1, 3, 3, 2)]),
    "depth to space": (("DepthToSpace", [(1, 2, 3, 8)], {"block": 2}), [(1, 4, 6, 2)]),
    "space to depth": (("SpaceToDepth", [(1, 4, 6, 2)], {"block": 2}), [(1, 2, 3, 8)]),
    "space to batch": (
        ("SpaceToBatch", [(2, 3, 4, 5)], {"block": (2, 2), "pad": ((0, 1), (0, 0))}),
        [(8, 2, 2, 5)]),
    "batch to space": (
        ("BatchToSpace", [(8, 2, 2, 5)], {"block": (2, 2), "crop": ((0, 1), (0, 0))}),
        [(2, 3, 4, 5)]),
    "broadcast": (("Add", [(2, 1, 4), (3, 1)], {}), [(2, 3, 4)]),
    "reduce": (("ReduceSum", [(2, 3, 4)], {"axes": (-1, 0)}), [(3,)]),
    "reduce and keep": (
        ("ReduceSum", [(2, 3, 4)], {"axes": (-1, 0), "keepdims": True}), [(1, 3, 1)]),
    "reduce nothing": (("ReduceSum", [(2, 3)], {"axes": ()}), [(2, 3)]),
    "top k": (("TopK", [(2, 9)], {"k": 3}), [(2, 3), (2, 3)]),
    "split": (("Split", [(2, 6)], {"axis": -1, "sizes": (1, 5)}), [(2, 1), (2, 5)]),
    "slice backwards": (
        ("Slice", [(9,)], {"begin": (8,), "size": (5,), "stride": (-2,)}), [(5,)]),
    "slice of nothing": (
        ("Slice", [(9,)], {"begin": (9,), "size": (0,), "stride": (1,)}), [(0,)]),
    "gather": (("Gather", [(2, 5, 3), (4, 7)], {"axis": 1}), [(2, 4, 7, 3)]),
    "gather in batches": (
        ("Gather", [(2, 5, 3), (2, 7)], {"axis": 1, "batch_dims": 1}), [(2, 7, 3)]),
    "gather nd": (("GatherNd", [(2, 5, 3), (7, 2)], {}), [(7, 3)]),
    "one hot in the middle": (("OneHot", [(2, 3)], {"depth": 4, "axis": 1}), [(2, 4, 3)]),
    "where": (("Where", [(2, 1), (3,), ()], {}), [(2, 3)]),
    "argmax": (("ArgMax", [(2, 3, 4)], {"axis": -2}), [(2, 4)]),
    "concat": (("Concat", [(2, 3), (2, 4), (2, 0)], {"axis": 1}), [(2, 7)]),
}  # fmt: skip

WRONG: dict[str, tuple[Rule, str]] = {
    "too few inputs": (("Add", [(2,)], {}), "takes the inputs 'a b', got 1"),
    "too many inputs": (("Relu", [(2,), (2,)], {}), "takes the inputs 'x', got 2"),
    "conv channels": (("Conv2d", [(1, 8, 8, 3), (4, 3, 3, 2)], {}), "do not suit 3 channels"),
    "conv groups": (
        ("Conv2d", [(1, 8, 8, 4), (3, 3, 3, 2)], {"groups": 2}), "do not suit 4 channels"),
    "conv rank": (("Conv2d", [(8, 8, 3), (4, 3, 3, 3)], {}), "takes rank 4"),
    "conv of the wrong dimension": (
        ("Conv2d", [(1, 4, 4, 4, 3), (4, 3, 3, 3, 3)], {}), "do not suit the stride"),
    "conv window": (("Conv2d", [(1, 2, 8, 3), (4, 3, 3, 3)], {}), "does not fit size 2"),
    "depthwise": (("DepthwiseConv2d", [(1, 8, 8, 3), (1, 3, 3, 4)], {}), "do not suit 3 channels"),
    "dense": (("FullyConnected", [(2, 8), (5, 7)], {}), "do not suit input"),
    "matmul rank": (("MatMul", [(8,), (8, 2)], {}), "rank 2 or more"),
    "matmul inner": (("MatMul", [(2, 8), (7, 2)], {}), "inner sizes 8 and 7 differ"),
    "broadcast": (("Add", [(2, 3), (2,)], {}), "do not broadcast"),
    "reshape": (("Reshape", [(2, 3)], {"shape": (5,)}), "does not reshape"),
    "transpose": (("Transpose", [(2, 3)], {"perm": (0, 0)}), "does not suit"),
    "concat": (("Concat", [(2, 3), (3, 3)], {"axis": 1}), "do not concatenate"),
    "split": (("Split", [(2, 6)], {"axis": 1, "sizes": (1, 4)}), "do not add up to 6"),
    "slice": (("Slice", [(4,)], {"begin": (2,), "size": (3,), "stride": (1,)}), "leave dimension"),
    "slice backwards": (
        ("Slice", [(4,)], {"begin": (1,), "size": (3,), "stride": (-1,)}), "leave dimension"),
    "axis": (("ArgMax", [(2, 3)], {"axis": 2}), "axis 2 is out of range"),
    "top k": (("TopK", [(2, 3)], {"k": 4}), "k=4 is more than"),
    "broadcast to": (("BroadcastTo", [(2, 3)], {"shape": (3,)}), "does not broadcast to"),
    "depth to space": (("DepthToSpace", [(1, 2, 2, 6)], {"block": 2}), "no multiple of 2x2"),
    "space to depth": (("SpaceToDepth", [(1, 3, 2, 6)], {"block": 2}), "no multiple of block 2"),
    "update": (("DynamicUpdateSlice", [(2, 3), (3, 3), (2,)], {}), "does not suit"),
    "pads per dimension": (("Pad", [(2, 3)], {"pads": ((1, 1),)}), "shorter"),
}  # fmt: skip


def outputs(rule: Rule) -> list[tuple[Shape, DType]]:
    op, shapes, attrs = rule
    values = [Value(f"v{i}", shape) for i, shape in enumerate(shapes)]
    return infer(op, values, complete_attrs(op, attrs))


@pytest.mark.parametrize("case", RIGHT)
def test_shape(case: str) -> None:
    rule, expected = RIGHT[case]
    assert [shape for shape, _ in outputs(rule)] == expected


@pytest.mark.parametrize("case", WRONG)
def test_disagreement_is_refused_with_the_inputs_named(case: str) -> None:
    rule, message = WRONG[case]
    with pytest.raises(BadModel, match=message):
        outputs(rule)


@pytest.mark.parametrize(
    ("line", "dtype"),
    [
        ("y = Less(x, x)", DType.BOOL), ("y = ArgMax(x, axis=0)", DType.INT64),
        ("y = ArgMax(x, axis=0, to='int32')", DType.INT32), ("y = Cast(x, to='int8')", DType.INT8),
        ("y = Relu(x)", DType.FLOAT32), ("y = OneHot(x, depth=2, to='uint8')", DType.UINT8),
        ("y = ReduceMean(x, axes=(0,))", DType.FLOAT32), ("v, y = TopK(x, k=1)", DType.INT32),
    ],
)  # fmt: skip
def test_dtype(line: str, dtype: DType) -> None:
    graph = parse(f"x: float32[4] = input()\n{line}\noutput(y)")
    assert graph.outputs[0].dtype is dtype


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("x: float32[1, 8, 8, 3] = input(); w = random(4, 3, 3, 3); y = Conv2d(x, w)",
         6 * 6 * 4 * 27),
        ("x: float32[1, 8, 8, 4] = input(); w = random(4, 3, 3, 2); y = Conv2d(x, w, groups=2)",
         6 * 6 * 4 * 18),
        ("x: float32[1, 8, 8, 3] = input(); w = random(1, 3, 3, 6); y = DepthwiseConv2d(x, w)",
         6 * 6 * 6 * 9),
        ("x: float32[1, 4, 4, 3] = input(); w = random(2, 3, 3, 3); "
         "y = ConvTranspose2d(x, w, stride=(2, 2))", 4 * 4 * 3 * 9 * 2),
        ("x: float32[2, 8] = input(); w = random(5, 8); y = FullyConnected(x, w)", 2 * 5 * 8),
        ("x: float32[2, 4, 3] = input(); w = random(2, 4, 5); y = MatMul(x, w, adj_a=True)",
         2 * 3 * 5 * 4),
        ("x: float32[2, 8] = input(); y = Relu(x)", 0),
    ],
)  # fmt: skip
def test_macs(text: str, macs: int) -> None:
    graph = parse(text.replace("; ", "\n") + "\noutput(y)")
    assert node_macs(graph.nodes[0]) == macs


def test_layouts_split_and_join() -> None:
    for shape, layout in [((1, 2, 3, 4), "NHWC"), ((1, 2, 3, 4), "NCHW")]:
        assert join_layout(*split_layout(shape, layout), layout) == shape
    assert split_layout((1, 2, 3, 4), "NCHW") == (1, (3, 4), 2)
    assert split_layout((1, 2, 3, 4, 5), "NHWC", rank=5) == (1, (2, 3, 4), 5)


def test_axes_count_from_either_end() -> None:
    assert [normal_axis(axis, 3) for axis in (0, 2, -1, -3)] == [0, 2, 2, 0]
    with pytest.raises(ValueError, match="axis -4 is out of range for rank 3"):
        normal_axis(-4, 3)


def test_broadcasting_follows_numpy_also_for_empty_dimensions() -> None:
    assert broadcast((0,), (1,)) == (0,)
    assert broadcast((), ()) == ()
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast((0,), (2,))
