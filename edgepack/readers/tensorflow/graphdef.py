"""From a TensorFlow GraphDef to IR: functions and loops inlined, constants computed.

Nodes are visited backwards from the outputs, so that what training left behind is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.errors import BadModel, EdgepackError, Finding, Unsupported
from edgepack.ir import DType, Graph, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.attributes import python_attrs
from edgepack.readers.tensorflow.call import Call, Const, Item, normal
from edgepack.readers.tensorflow.fold import can_compute, compute, op_def
from edgepack.readers.tensorflow.recurrent import read_marked
from edgepack.readers.tensorflow.registry import READS

_CALLS = re.compile(r"(^|/)(Stateful)?PartitionedCall(_\d+)?$")
_MAX_STEPS = 4096


@dataclass(frozen=True, slots=True)
class Scope:
    """The nodes of a graph or of one call of a function, and what was found for them."""

    nodes: Mapping[str, Any]
    prefix: str
    is_function: bool
    found: dict[str, Sequence[Item]] = field(default_factory=dict)


class Interpreter:
    """Reads nodes into `graph`.

    `variables` says what a variable holds, `readable` makes a layer's name of a scope. `findings`
    collects what cannot be read; such a node's results are None, and whatever depends on them is
    passed over.
    """

    def __init__(
        self,
        graph: Graph,
        functions: Sequence[Any],
        variables: Callable[[str], Item],
        readable: Callable[[str], str] = str,
    ) -> None:
        self.graph = graph
        self.functions = {f.signature.name: f for f in functions}
        self.variables = variables
        self.readable = readable
        self.constants: dict[int, tuple[Const, Value]] = {}
        self.findings: list[Finding] = []

    def run(
        self, nodes: Sequence[Any], feeds: Mapping[str, Item], outputs: Sequence[str]
    ) -> list[Item]:
        """What the tensors `outputs` of a graph are, given those of its placeholders."""
        scope = Scope({n.name: n for n in nodes}, "", False)
        scope.found.update({name: [item] for name, item in feeds.items()})
        return [self._tensor(scope, ref) for ref in outputs]

    def call(self, name: str, items: Sequence[Item], prefix: str) -> list[Item]:
        """The results of function `name` of the library."""
        function = self.functions[name]
        scope = Scope({n.name: n for n in function.node_def}, prefix, True)
        arguments = (a.name for a in function.signature.input_arg)
        scope.found.update({n: [i] for n, i in zip(arguments, items, strict=False)})
        refs = [function.ret[a.name] for a in function.signature.output_arg]
        return [self._tensor(scope, ref) for ref in refs]

    def finish(self) -> None:
        """Raise Unsupported with all findings, if there are any."""
        if self.findings:
            raise Unsupported("the model has operators that edgepack cannot read", self.findings)

    def as_value(self, item: Item, name: str) -> Value:
        """An output of the graph as a value. Raises BadModel for what is none."""
        try:
            return Call(self.graph, name, "", (), {}, self.constants).as_value(item)
        except Refused as problem:
            raise BadModel(f"output {name}: {problem.reason}", hint=problem.hint) from problem

    # -- walking ---------------------------------------------------------------------------------

    def _tensor(self, scope: Scope, ref: str) -> Item:
        name, *rest = ref.split(":")
        self._visit(scope, name)
        results = scope.found[name]
        index = self._index(scope, name, rest)
        return results[index] if index < len(results) else None

    def _index(self, scope: Scope, name: str, rest: Sequence[str]) -> int:
        """`node:1` of a graph; `node:output:1` of a function, counted within a named output."""
        if len(rest) < 2 or name not in scope.nodes:
            return int(rest[0]) if rest and rest[0].isdigit() else 0
        return self._offset(scope.nodes[name], rest[0]) + int(rest[1])

    def _offset(self, node: Any, output: str) -> int:
        declared = op_def(node.op)
        offset = 0
        for argument in declared.output_arg if declared is not None else ():
            if argument.name == output:
                break
            offset += node.attr[argument.number_attr].i if argument.number_attr else 1
        return offset

    def _visit(self, scope: Scope, root: str) -> None:
        """Read `root` and before it what it needs, without recursion: graphs are deep."""
        stack, waiting = [root], set()
        while stack:
            name = stack[-1]
            if name in scope.found:
                stack.pop()
                continue
            if name not in scope.nodes:
                raise BadModel(f"the graph is damaged: it reads {name!r}, which is no node of it")
            node = scope.nodes[name]
            sources = (ref.split(":")[0] for ref in node.input if not ref.startswith("^"))
            open_sources = [s for s in sources if s not in scope.found]
            if open_sources:
                if name in waiting:
                    raise BadModel(f"the graph is damaged: {name!r} reads what it makes itself")
                waiting.add(name)
                stack.extend(open_sources)
            else:
                stack.pop()
                scope.found[name] = self._read(scope, node)

    def _read(self, scope: Scope, node: Any) -> Sequence[Item]:
        stem = self._stem(scope, node)
        inputs = [self._tensor(scope, ref) for ref in node.input if not ref.startswith("^")]
        try:
            call = Call(self.graph, stem, node.op, inputs, python_attrs(node), self.constants)
            results = self._results(call)
            call.name_results(results)
            return results
        except Refused as problem:
            self._refuse(stem, node.op, problem.reason, problem.hint)
        except EdgepackError as problem:
            self._refuse(stem, node.op, problem.message, problem.hint)
        return []

    def _refuse(self, stem: str, op: str, reason: str, hint: str | None) -> None:
        if not any(f.node == stem and f.op == op for f in self.findings):
            self.findings.append(Finding(stem, op, None, reason, hint))

    def _stem(self, scope: Scope, node: Any) -> str:
        name = _CALLS.sub("", node.name) or node.op
        return scope.prefix + (name if scope.is_function else self.readable(name))

    def _results(self, call: Call) -> Sequence[Item]:
        if call.op in _CONTROL:
            return _CONTROL[call.op](self, call)
        if any(item is None for item in call.inputs):
            return []
        known = [item for item in call.inputs if isinstance(item, Const)]
        if len(known) == len(call.inputs) and can_compute(call.op):
            if call.op in ("Identity", "ReadVariableOp"):
                return known
            arrays = compute(call.op, [c.array for c in known], call.attrs)
            return [Const(array, (call.op, tuple(known))) for array in arrays]
        if call.op not in READS:
            raise Refused("not in the table", _HINTS.get(call.op))
        result = READS[call.op](call)
        return list(result) if isinstance(result, list | tuple) else [result]


_HINTS = dict.fromkeys(
    ("PyFunc", "PyFuncStateless", "EagerPyFunc"), "it calls Python code that is not in the file"
)


# -- operators that need the interpreter -----------------------------------------------------------


def _constant(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    return [Const(normal(call.attrs["value"]))]


def _variable(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    name = call.attrs.get("shared_name") or call.stem
    return [interpreter.variables(str(name))]


def _call(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    whole = read_marked(call, interpreter.functions[call.attrs["f"]])
    if whole is not None:
        return whole
    prefix = call.stem.removesuffix(call.op)
    prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    return interpreter.call(call.attrs["f"], call.inputs, prefix)


def _loop(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    """Unrolled: the condition must be known at every step."""
    state: Sequence[Item] = call.inputs
    prefix = f"{call.stem}/"
    for _ in range(_MAX_STEPS):
        (goes_on,) = interpreter.call(call.attrs["cond"], state, prefix)
        if not isinstance(goes_on, Const):
            raise Refused("a loop whose end is known only at run time has no equivalent")
        if not goes_on.array.any():
            return state
        state = interpreter.call(call.attrs["body"], state, prefix)
    raise Refused(f"a loop of more than {_MAX_STEPS} steps is not unrolled")


def _branch(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    condition, *items = call.inputs
    if not isinstance(condition, Const):
        raise Refused("a branch that is chosen at run time has no equivalent")
    name = call.attrs["then_branch" if condition.array.any() else "else_branch"]
    return interpreter.call(name, items, f"{call.stem}/")


def _nothing(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    return []


# -- lists of tensors, as loops use them -----------------------------------------------------------


def _list(item: Item) -> list[Any]:
    if not isinstance(item, list):
        raise Refused("a tensor stands where a list of tensors is expected")
    return item


def _reserve(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    return [[None] * call.ints(1)[0]]


def _from_tensor(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    return [list(_rows(call, call.inputs[0]))]


def _rows(call: Call, item: Item) -> Sequence[Item]:
    if isinstance(item, Const):
        return [Const(row) for row in item.array]
    x = call.as_value(item)
    return call.unstack(x, 0)


def _get_item(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    item = _list(call.inputs[0])[call.ints(1)[0]]
    if item is not None:
        return [item]
    shape = [max(d, 1) for d in call.ints(2)]
    return [Const(_zeros(shape, str(call.attrs["element_dtype"])))]


def _zeros(shape: Sequence[int], dtype: str) -> Any:

    return np.zeros(shape, DType(dtype).numpy)


def _set_item(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    items = list(_list(call.inputs[0]))
    index = call.ints(1)[0]
    items += [None] * (index + 1 - len(items))
    items[index] = call.inputs[2]
    return [items]


def _push_back(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    return [[*_list(call.inputs[0]), call.inputs[1]]]


def _stack(interpreter: Interpreter, call: Call) -> Sequence[Item]:
    items = _list(call.inputs[0])
    if any(item is None for item in items):
        raise Refused("a list of tensors has places that were never written")
    return [call.stack([call.as_value(item) for item in items], 0)]


_CONTROL: Mapping[str, Callable[[Interpreter, Call], Sequence[Item]]] = {
    "Const": _constant,
    "VarHandleOp": _variable, "VariableV2": _variable, "Variable": _variable,
    "PartitionedCall": _call, "StatefulPartitionedCall": _call,
    "While": _loop, "StatelessWhile": _loop,
    "If": _branch, "StatelessIf": _branch,
    "NoOp": _nothing, "Assert": _nothing,
    "TensorListReserve": _reserve, "EmptyTensorList": lambda interpreter, call: [[]],
    "TensorListFromTensor": _from_tensor, "TensorListGetItem": _get_item,
    "TensorListSetItem": _set_item, "TensorListPushBack": _push_back, "TensorListStack": _stack,
}  # fmt: skip
