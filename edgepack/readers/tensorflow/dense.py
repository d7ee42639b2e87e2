"""Matrix products and Einsum."""

from __future__ import annotations

from edgepack.ir import Value
from edgepack.readers.einsum import contract
from edgepack.readers.tensorflow.call import Call, Const
from edgepack.readers.tensorflow.registry import reads


@reads("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(call: Call) -> Value:
    """FullyConnected where the second is a constant matrix, else MatMul."""
    flip_a, flip_b = (_flag(call, side) for side in ("a", "b"))
    a, b = call.value(0), call.item(1)
    if isinstance(b, Const) and b.array.ndim == 2 and not flip_a and a.rank >= 2:
        weights = b.array if flip_b else b.array.T
        return call.emit("FullyConnected", a, call.const(weights, name="weight"), None)
    return call.emit("MatMul", a, call.as_value(b), adj_a=flip_a, adj_b=flip_b)


def _flag(call: Call, side: str) -> bool:
    index = "ab".index(side)
    names = (f"transpose_{side}", f"adj_{'xy'[index]}", f"grad_{'xy'[index]}")
    return any(bool(call.attrs.get(name, False)) for name in names[:2])


@reads("Einsum")
def einsum(call: Call) -> Value:
    """Operands joined two at a time."""
    return contract(call, str(call.attrs["equation"]), call.values())
