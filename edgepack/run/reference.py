"""The reference executor: the numpy kernels, node by node.

Float graphs in float32; quantized ones with the same bits as TFLite's reference kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgepack import kernels
from edgepack.errors import BadData, Finding, Unsupported
from edgepack.ir import Array, Graph, Node, Value
from edgepack.run.base import TensorInfo


class ReferenceRuntime:
    """A graph, run by the reference kernels; every node is looked up on construction.

    8-bit weights of real activations count as the real numbers they stand for; with `hybrid` they
    are multiplied as TFLite's hybrid kernels do it, which quantize the activations on the fly.
    Raises Unsupported with all nodes that have no kernel.
    """

    def __init__(self, graph: Graph, *, hybrid: bool = False) -> None:
        self.graph = graph
        self.hybrid = hybrid
        self.inputs = [TensorInfo(v.name, v.shape, v.dtype, v.quant) for v in graph.inputs]
        self.outputs = [TensorInfo(v.name, v.shape, v.dtype, v.quant) for v in graph.outputs]
        missing = [node for node in graph.nodes if kernels.find(node) is None]
        if missing:
            raise Unsupported(
                "the reference executor lacks these operators",
                [Finding(n.name, n.op, str(n.output.dtype), "no kernel") for n in missing],
            )

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Runtime.run`."""
        env = {v: v.const for v in self.graph.constants()}
        for value, array in zip(self.graph.inputs, inputs, strict=True):
            if array.shape != value.shape or array.dtype != value.dtype.numpy:
                raise BadData(
                    f"input '{value.name}' takes {value.dtype}{list(value.shape)}, "
                    f"not {array.dtype}{list(array.shape)}"
                )
            env[value] = array
        last_reader = self._last_readers()
        for node in self.graph.nodes:
            arrays = [None if v is None else env[v] for v in node.inputs]
            results = kernels.call(node, arrays, hybrid=self.hybrid)
            env.update(zip(node.outputs, results, strict=True))
            for value in node.present_inputs:
                if last_reader[value] is node:
                    env.pop(value, None)
        return [env[v] for v in self.graph.outputs]

    def _last_readers(self) -> dict[Value, Node | None]:
        readers: dict[Value, Node | None] = {}
        for node in self.graph.nodes:
            readers.update(dict.fromkeys(node.present_inputs, node))
        readers.update(dict.fromkeys(self.graph.outputs))
        return readers
