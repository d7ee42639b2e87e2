"""From a captured ATen graph to IR: constants are computed, the rest is looked up in the table."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.errors import BadModel, EdgepackError, Finding, Unsupported
from edgepack.ir import DType, Graph, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call, Spec, dtype_of
from edgepack.readers.torch.registry import find


@dataclass(frozen=True, slots=True)
class Captured:
    """A flat graph of torch.fx nodes.

    `inputs` are the placeholders to feed, `constants` the tensors of the others, both by the
    node's name; `outputs` the positions among the returned values that belong to the user.
    """

    nodes: Sequence[Any]
    inputs: Sequence[str]
    constants: Mapping[str, Any]
    outputs: Sequence[int]


def translate(captured: Captured, name: str) -> Graph:
    """The IR graph. Raises Unsupported with every operator that cannot be read."""
    translator = _Translator(name, captured)
    for node in captured.nodes:
        translator.visit(node)
    if translator.findings:
        raise Unsupported("the model has operators that edgepack cannot read", translator.findings)
    translator.graph.remove_dead()
    return translator.graph


def target_name(node: Any) -> str:
    """`aten.add.Tensor`; an in-place operator has the name of its plain twin."""
    packet, _, overload = str(node.target).rpartition(".")
    return f"{packet.removesuffix('_')}.{overload}" if in_place(node) else str(node.target)


def in_place(node: Any) -> bool:
    """Whether the operator changes its first argument: its name ends in one underscore."""
    packet = str(node.target).rpartition(".")[0]
    return packet.endswith("_") and not packet.endswith("__")


class _Translator:
    def __init__(self, name: str, captured: Captured) -> None:
        self.graph = Graph(name)
        self.inputs = frozenset(captured.inputs)
        self.constants = captured.constants
        self.outputs = captured.outputs
        self.env: dict[Any, Any] = {}
        self.roots: dict[Any, Any] = {}  # of an in-place result: the tensor that was changed
        self.shared: dict[int, tuple[Any, Value]] = {}
        self.findings: list[Finding] = []

    def visit(self, node: Any) -> None:
        if node.op == "placeholder":
            self.env[node] = self._placeholder(node)
        elif node.op == "get_attr":
            self.env[node] = _attribute(node.graph.owning_module, node.target)
        elif node.op == "output":
            returned = _flat(node.args)
            wanted = [returned[i] for i in self.outputs if returned[i] is not None]
            self.graph.outputs = [self._output(item) for item in wanted]
        elif node.op == "call_function":
            self.env[node] = self._function(node)

    def _placeholder(self, node: Any) -> Any:
        if node.name in self.constants:
            return self.constants[node.name]
        if node.name not in self.inputs:
            return None
        spec = _specs(node)[0]
        return self.graph.add_input(node.name, spec.shape, spec.dtype)

    def _output(self, item: Any) -> Value:
        found = self.env[self.roots.get(item, item)] if hasattr(item, "op") else item
        if isinstance(found, bool | int | float | str):  # written into the program, or folded
            raise BadModel(
                f"the model returns {found!r}, which is no tensor", hint="return tensors only"
            )
        if found is None:
            self._refuse(item, str(item.target), "a by-product that edgepack does not give", None)
            return Value(item.name, ())
        if isinstance(found, Value):
            return found
        return Call(self.graph, "output", "", {}, (), self.shared).as_value(found)

    def _function(self, node: Any) -> Any:
        if node.target is operator.getitem:
            source, position = node.args
            results = self.env[source]
            if isinstance(results, list | tuple) and position < len(results):
                return results[position]
            return None  # a by-product that no reader gives, such as the mask of dropout
        if any(self._resolve(source) is None for source in node.all_input_nodes):
            return None  # made of such a by-product
        arguments = [self._resolve(a) for a in node.args]
        keywords = {key: self._resolve(a) for key, a in node.kwargs.items()}
        if in_place(node):  # whoever reads the changed tensor from now on reads the result
            self.roots[node] = self.roots.get(node.args[0], node.args[0])
        if not any(isinstance(v, Value) for v in _flat([*arguments, *keywords.values()])):
            return _compute(node, arguments, keywords)
        result = self._read(node, arguments, keywords)
        if in_place(node):
            self.env[self.roots[node]] = result
        return result

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [self._resolve(a) for a in argument]
        if isinstance(argument, str | int | float | bool | None):
            return argument
        return self.env.get(self.roots.get(argument, argument), argument)

    def _read(self, node: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        target = target_name(node)
        try:
            specs = _specs(node)
            read = find(target)
            if read is None:
                raise Refused("not in the table")
            named = _named(node.target, arguments, keywords)
            stem, used = layer_name(node), _used(node)
            call = Call(self.graph, stem, target, named, specs, self.shared, used)
            return _agreeing(call, read(call), specs, node)
        except Refused as problem:
            self._refuse(node, target, problem.reason, problem.hint)
        except EdgepackError as problem:
            self._refuse(node, target, problem.message, None)
        return self._stand_in(node)

    def _refuse(self, node: Any, target: str, reason: str, hint: str | None) -> None:
        self.findings.append(Finding(layer_name(node), target, None, reason, hint))

    def _stand_in(self, node: Any) -> Any:
        """Values to go on with, so that the findings further down are listed too."""
        found = node.meta.get("val")
        several = isinstance(found, list | tuple)
        values = [
            Value(node.name, tuple(r.shape), _DTYPE_OF_STAND_INS)
            for r in (found if several else [found])
            if hasattr(r, "shape")
        ]
        return values if several else values[0] if values else None


_DTYPE_OF_STAND_INS = DType.FLOAT32  # torch's own may have no equivalent


def _used(node: Any) -> frozenset[int]:
    """Of a node with several results, the positions that something reads."""
    picks = [user for user in node.users if user.target is operator.getitem and user.users]
    return frozenset(int(user.args[1]) for user in picks)


def _flat(items: Any) -> list[Any]:
    if isinstance(items, list | tuple):
        return [leaf for item in items for leaf in _flat(item)]
    if isinstance(items, dict):
        return [leaf for item in items.values() for leaf in _flat(item)]
    return [items]


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _compute(node: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """A node whose inputs are all known, computed by torch."""
    import torch

    if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
        raise BadModel(f"the model draws random numbers: {node.target}", at=layer_name(node))
    try:
        with torch.no_grad():
            return node.target(*arguments, **keywords)
    except Exception as problem:
        raise BadModel(f"torch cannot compute {node.target}: {problem}", at=node.name) from problem


def _specs(node: Any) -> list[Spec]:
    found = node.meta.get("val")
    results = found if isinstance(found, list | tuple) else [found]
    return [Spec(_static(r.shape, node), dtype_of(r.dtype)) for r in results if hasattr(r, "shape")]


def _static(shape: Any, node: Any) -> tuple[int, ...]:
    if not all(isinstance(d, int) for d in shape):
        raise BadModel(
            f"{node.name} has the shape {tuple(map(str, shape))}, which depends on the data",
            hint="edgepack takes static shapes only",
        )
    return tuple(int(d) for d in shape)


def _named(target: Any, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """The arguments by the names of the operator's schema, defaults filled in."""
    named: dict[str, Any] = {}
    for position, declared in enumerate(target._schema.arguments):
        if position < len(arguments):
            named[declared.name] = arguments[position]
        elif declared.name in keywords:
            named[declared.name] = keywords[declared.name]
        elif declared.has_default_value():
            named[declared.name] = declared.default_value
    return named


def _agreeing(call: Call, result: Any, specs: Sequence[Spec], node: Any) -> Any:
    """The result, named after its layer; raises Refused when shapes differ from torch's."""
    several = isinstance(node.meta.get("val"), list | tuple)
    values = list(result) if isinstance(result, Sequence) else [result]
    for value, spec in zip(values, specs, strict=False):
        if (value.shape, value.dtype) != (spec.shape, spec.dtype):
            raise Refused(
                f"read as {value.dtype}{list(value.shape)}, torch says "
                f"{spec.dtype}{list(spec.shape)}"
            )
    call.name_results(values)
    return values if several else values[0]


def layer_name(node: Any) -> str:
    """Where in the module a node comes from: `layer1.0.conv1`, or `layer1.0.add`."""
    operation = target_name(node).split(".")[1] if "." in str(node.target) else str(node.target)
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return operation
    path, kind = str(stack[-1][0]), stack[-1][1]
    path = path.removeprefix("L['self'].").removeprefix("L__self__.")
    builtin = str(kind if isinstance(kind, str) else kind.__module__).startswith("torch.nn.modules")
    if not path:
        return operation
    return path if builtin else f"{path}.{operation}"
