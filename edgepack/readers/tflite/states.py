"""Variables that a model keeps from one run to the next, made inputs and outputs of the graph."""

from __future__ import annotations

from edgepack.errors import BadModel
from edgepack.ir import Graph, Value
from edgepack.readers.tflite.records import Tensor


class States:
    """What each variable holds while the operators are walked through in order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names: dict[int, str] = {}  # tensor index of a handle: the variable's name
        self._current: dict[str, Value] = {}
        self._assigned: list[str] = []

    def declare(self, handle: int, name: str) -> None:
        """The tensor with this index is a handle of the variable `name`."""
        self._names[handle] = name

    def read(self, handle: int, tensor: Tensor) -> Value:
        """What the variable holds now: what was assigned, else a new input like `tensor`."""
        name = self._name(handle)
        if name not in self._current:
            if tensor.dtype is None:
                raise BadModel(f"the variable {name} is of type {tensor.type_name.lower()}")
            value = self._graph.add_input(name, tensor.shape, tensor.dtype)
            value.quant = tensor.quant
            self._current[name] = value
        return self._current[name]

    def assign(self, handle: int, value: Value) -> None:
        """From here on the variable holds `value`."""
        name = self._name(handle)
        self._current[name] = value
        if name not in self._assigned:
            self._assigned.append(name)

    def written(self) -> list[Value]:
        """What the assigned variables hold at the end of a run, in the order of assignment."""
        return [self._current[name] for name in self._assigned]

    def _name(self, handle: int) -> str:
        if handle not in self._names:
            raise BadModel("a variable is used before its handle is made")
        return self._names[handle]
