"""A float graph as a function of torch, for gradients through parts of a model.

Graphs have static shapes, batches included; `call_batch` lifts a node over a further dimension of
samples, so that a model of batch 1 is run on many samples at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgepack.calibrate.torch_kernels import KERNELS, Tensor, Torch
from edgepack.errors import Finding, MissingDependency, Unsupported
from edgepack.ir import Array, DType, Graph, Node


def require_torch(purpose: str) -> Torch:
    """The torch package. Raises MissingDependency when it is not installed."""
    try:
        import torch
    except ImportError as problem:
        raise MissingDependency("torch", "torch", purpose) from problem
    return torch


def is_differentiable(node: Node) -> bool:
    """Whether torch has the node's arithmetic, on real numbers (and the masks they make)."""
    if any(v.quant is not None for v in (*node.present_inputs, *node.outputs)):
        return False
    if any(v.dtype not in (DType.FLOAT32, DType.BOOL) for v in node.outputs):
        return False
    return node.op in KERNELS and not node.attrs.get("batch_dims", 0)


def require_differentiable(nodes: Iterable[Node]) -> None:
    """Raise Unsupported with every node that torch lacks."""
    findings = [
        Finding(n.name, n.op, str(n.output.dtype), "no differentiable kernel")
        for n in nodes
        if not is_differentiable(n)
    ]
    if findings:
        raise Unsupported("gradients cannot pass these operators", findings)


def call(torch: Torch, node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """The outputs of one node for tensors of exactly the graph's shapes (None where left out)."""
    result = KERNELS[node.op](torch, node, *inputs)
    return result if isinstance(result, tuple) else (result,)


def call_batch(
    torch: Torch, node: Node, inputs: Sequence[Tensor | None], batched: Sequence[bool]
) -> tuple[Tensor, ...]:
    """The same for many samples at once.

    Where `batched`, an input has a first dimension of samples, [samples, *shape]; the outputs have
    it if any input does.
    """
    if not any(batched):
        return call(torch, node, inputs)
    dims = tuple(0 if flag else None for flag in batched)
    outputs: tuple[Tensor, ...] = torch.vmap(
        lambda *tensors: call(torch, node, tensors), in_dims=dims
    )(*inputs)
    return outputs


def tensor(torch: Torch, array: Array) -> Tensor:
    """A constant as torch takes it: indices are int64, strides positive, memory its own."""
    fresh = torch.tensor(array)
    return fresh.long() if array.dtype in ("uint16", "uint32", "uint64") else fresh


def torch_function(graph: Graph) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """`graph` as a differentiable function from input tensors to output tensors.

    Tensors have a first dimension of samples before the graph's own shape.
    Raises MissingDependency without torch, Unsupported with the nodes that it lacks.
    """
    torch = require_torch("differentiating a model")
    require_differentiable(graph.nodes)
    constants = {v: tensor(torch, v.const) for v in graph.constants()}

    def function(inputs: Sequence[Tensor]) -> list[Tensor]:
        env = {**constants, **dict(zip(graph.inputs, inputs, strict=True))}
        lifted = set(graph.inputs)
        for node in graph.nodes:
            tensors = [None if v is None else env[v] for v in node.inputs]
            batched = [v in lifted for v in node.inputs]
            env.update(zip(node.outputs, call_batch(torch, node, tensors, batched), strict=True))
            if any(batched):
                lifted.update(node.outputs)
        return [env[v] for v in graph.outputs]

    return function
