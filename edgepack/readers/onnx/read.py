"""An ONNX model in, a graph out: inputs, initializers, then node by node.

A node is translated by its reading function; where there is none, by the body that ONNX itself
defines the operator with; where that fails and every input is known, by ONNX's own evaluation.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from edgepack.errors import BadModel, EdgepackError, Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Graph, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx import attributes, families  # noqa: F401 (families register)
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.expand import evaluate, function_body
from edgepack.readers.onnx.model import (
    check_not_older,
    dtype_of,
    load_proto,
    narrow_limits,
    opset_versions,
    tensor_array,
)
from edgepack.readers.onnx.reasons import why_not
from edgepack.readers.onnx.registry import READS, key
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import input_shapes

DEEPEST_CALL = 64

# What a reading function runs into when attributes and inputs of a node contradict one another.
_NONSENSE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)

# Where infinity is a sensible constant: masks, bounds and comparisons.
_TAKES_INFINITY = frozenset(
    ["Add", "Where", "Clip", "Max", "Min", "Pad", "Attention", "Equal", "Less", "Greater", "Expand",
     "LessOrEqual", "GreaterOrEqual", "Concat", "Cast", "CastLike", "Slice", "Gather", "IsInf"]
)  # fmt: skip

# Operators whose constants are weights, also where a Constant node holds them.
_WEIGHTED = frozenset(["BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul"])


def read_onnx(source: str | os.PathLike[str] | bytes | Any, options: ReadOptions) -> Graph:
    """The graph of an ONNX model: a path, its bytes, or a ModelProto.

    Spatial operators are NCHW, as in the file. Raises BadModel for files that are damaged or that
    reach outside of their folder, Unsupported with all nodes that have no translation.
    """
    loaded = load_proto(source)
    graph = Graph(loaded.proto.graph.name or "model")
    reader = _Reader(
        loaded.proto, graph, lambda t: tensor_array(t, loaded.folder, trust=options.trust)
    )
    reader.read(options)
    graph.source.format = "onnx"
    graph.source.path = "" if loaded.folder is None else str(source)
    graph.source.sha256 = loaded.sha256
    return graph


class _Scope:
    """The names of one graph or function body: values made so far, None where a node failed."""

    def __init__(
        self, opsets: Mapping[str, int], prefix: str = "", depth: int = 0,
        values: dict[str, Value | None] | None = None, attrs: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.opsets = opsets
        self.prefix = prefix
        self.depth = depth
        self.values = {} if values is None else values
        self.attrs = attrs or {}
        self.tensors: dict[str, Any] = {}
        self.declared: dict[str, tuple[int, ...]] = {}
        self.users: dict[str, list[str]] = defaultdict(list)

    def note_users(self, nodes: Iterable[Any], outputs: Iterable[str]) -> None:
        for node in nodes:
            for name in node.input:
                self.users[name].append(node.op_type)
            for attribute in node.attribute:  # a branch may read the names around it
                if attribute.HasField("g"):
                    self.note_users(attribute.g.node, ())
        for name in outputs:
            self.users[name].append("")


class _Reader:
    def __init__(self, model: Any, graph: Graph, array_of: Any) -> None:
        self.model = model
        self.graph = graph
        self.array_of = array_of
        self.ctx = Context(graph, "")
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.findings: list[Finding] = []

    def read(self, options: ReadOptions) -> None:
        proto = self.model.graph
        scope = _Scope(opset_versions(self.model.opset_import))
        check_not_older(proto.node, scope.opsets)
        outputs = [o.name for o in proto.output]
        scope.note_users(proto.node, outputs)
        self._enter(proto, scope)
        self._inputs(proto, scope, options)
        self._walk(proto.node, scope)
        if self.findings:
            raise Unsupported("the model has operators that cannot be translated", self.findings)
        self._outputs(outputs, scope)
        self.graph.remove_dead()

    # -- inputs, initializers, outputs -----------------------------------------------------------

    def _enter(self, proto: Any, scope: _Scope) -> None:
        """Take the initializers and declared shapes of a graph."""
        scope.tensors.update((t.name, t) for t in proto.initializer)
        if proto.sparse_initializer:
            raise BadModel("the model has sparse initializers", hint="store them densely")
        for info in [*proto.value_info, *proto.output]:
            dims = attributes.declared_dims(info.type)
            if dims is not None and all(isinstance(d, int) for d in dims):
                scope.declared[info.name] = tuple(d for d in dims if isinstance(d, int))

    def _inputs(self, proto: Any, scope: _Scope, options: ReadOptions) -> None:
        free = [i for i in proto.input if i.name not in scope.tensors]
        declared = {i.name: attributes.declared_dims(i.type) for i in free}
        shapes = input_shapes(declared, options, fixed=True)
        for info in free:
            dtype = _input_dtype(info)
            scope.values[info.name] = self.graph.add_input(info.name, shapes[info.name], dtype)

    def _outputs(self, names: list[str], scope: _Scope) -> None:
        for name in names:
            value = self._value(name, scope, "the list of outputs")
            if value is None:
                raise InternalError(f"output {name} was not made")
            if self.graph.is_output(value):  # each output is a value of its own
                value = self.graph.add("Reshape", [value], {"shape": value.shape}, name=name)
            elif value.producer is not None and value.name != name:
                value.name = self.graph.fresh(name)
            self.graph.outputs.append(value)

    def _value(self, name: str, scope: _Scope, reader: str) -> Value | None:
        """The value of a name; initializers become constants when they are first read."""
        if name not in scope.values:
            if name not in scope.tensors:
                raise BadModel(f"{reader} reads {name!r}, which nothing before it makes")
            scope.values[name] = self._initializer(scope.tensors[name], scope)
        return scope.values[name]

    def _initializer(self, tensor: Any, scope: _Scope) -> Value | None:
        array: Array = self.array_of(tensor)
        if not _has_dtype(array):
            self.findings.append(
                Finding(tensor.name, "initializer", array.dtype.name, "no runtime has this dtype")
            )
            return None
        _check_finite(array, tensor.name, scope.users[tensor.name])
        value = self.graph.constant(array, tensor.name)
        limits = narrow_limits(tensor.data_type)
        if limits is not None:
            self.ctx.narrow[value] = limits
        return value

    # -- nodes -----------------------------------------------------------------------------------

    def _walk(self, nodes: Iterable[Any], scope: _Scope) -> None:
        for node in nodes:
            name = scope.prefix + (node.name or next(iter(node.output), node.op_type))
            label = f"{node.op_type} {name}"
            inputs = [self._value(n, scope, label) if n else None for n in node.input]
            lost = any(v is None and n for v, n in zip(inputs, node.input, strict=True))
            try:
                results = [] if lost else self._node(node, name, inputs, scope)
            except Refused as problem:
                self._report(node, name, inputs, problem)
                results, lost = [], True
            if lost:
                self._check_known(node, name, scope)
            self._bind(node, name, results, scope, lost=lost)

    def _bind(
        self, node: Any, name: str, results: list[Value | None], scope: _Scope, *, lost: bool
    ) -> None:
        for index, out in enumerate(node.output):
            value = results[index] if index < len(results) else None
            if not out:
                continue
            if value is None and not lost and scope.users[out]:
                self._report(node, name, [], Refused(f"its output {index} is not supported"))
            if value is not None and _is_of(name, value):
                self.ctx.rename(value, scope.prefix + out, name)
            scope.values[out] = value
            if (
                node.op_type == "Constant"
                and value is not None
                and _WEIGHTED & set(scope.users[out])
            ):
                _check_finite(value.const, out, scope.users[out])

    def _report(self, node: Any, name: str, inputs: list[Value | None], problem: Refused) -> None:
        first = next((v for v in inputs if v is not None), None)
        dtype = None if first is None else str(first.dtype)
        self.findings.append(Finding(name, node.op_type, dtype, problem.reason, problem.hint))

    def _check_known(self, node: Any, name: str, scope: _Scope) -> None:
        """Behind a node that failed, report at least the operators that nobody knows."""
        if any(f.node == name for f in self.findings):
            return
        listed = key(node.domain, node.op_type) in READS or node.op_type in ("If", "Constant")
        local = (node.domain, node.op_type) in self.functions
        if not listed and not local and not function_body(node, [], scope.opsets, probe=True):
            self._report(node, name, [], why_not(node))

    def _node(
        self, node: Any, name: str, inputs: list[Value | None], scope: _Scope
    ) -> list[Value | None]:
        call = self._call(node, name, inputs, scope)
        self.ctx.stem = name
        local = self.functions.get((node.domain, node.op_type))
        if local is not None:
            return self._inline(local, call, scope.depth)
        if call.op == "If" and call.domain == "":
            return self._branch(call, scope)
        try:
            return self._translate(node, call, scope)
        except Refused:
            known = all(v is None or (v.is_const and v.quant is None) for v in inputs)
            arrays = evaluate(node, inputs, scope.opsets) if known and inputs else None
            if arrays is None:
                raise
            return [self.ctx.const(a) for a in arrays]

    def _translate(self, node: Any, call: Call, scope: _Scope) -> list[Value | None]:
        reading = READS.get(key(call.domain, call.op))
        if reading is None:
            body = function_body(node, call.inputs, scope.opsets)
            if body is None:
                raise why_not(node)
            return self._inline(body, call, scope.depth)
        try:
            result = reading(self.ctx, call)
        except BadModel as problem:
            at = problem.at or f"{call.op} {call.name}"
            raise BadModel(problem.message, at=at, hint=problem.hint) from problem
        except (EdgepackError, Refused):
            raise
        except _NONSENSE as problem:
            raise BadModel(f"{call.op} {call.name} makes no sense: {problem}") from problem
        return [result] if isinstance(result, Value) else list(result)

    def _call(self, node: Any, name: str, inputs: list[Value | None], scope: _Scope) -> Call:
        attrs = attributes.decode(node, scope.attrs, self.array_of)
        outputs = tuple(n if scope.users[n] else "" for n in node.output)
        domain = "" if node.domain == "ai.onnx" else node.domain
        users = frozenset(u for n in node.input for u in scope.users[n])
        declared = {n: scope.declared[n] for n in outputs if n in scope.declared}
        opset = scope.opsets.get(domain, 1)
        return Call(
            node.op_type, domain, opset, name, tuple(inputs), outputs, attrs, declared, users
        )

    # -- bodies ----------------------------------------------------------------------------------

    def _inline(self, function: Any, call: Call, depth: int) -> list[Value | None]:
        """Translate a function's body in place of the node that calls it."""
        if depth >= DEEPEST_CALL:
            raise BadModel(f"function {function.name} calls itself")
        defaults = attributes.decode_all(function.attribute_proto, {}, self.array_of)
        values: dict[str, Value | None] = dict.fromkeys(function.input)
        values.update(zip(function.input, call.inputs, strict=False))
        inner = _Scope(
            opset_versions(function.opset_import), f"{call.name}/", depth + 1,
            {**values, "": None}, {**defaults, **call.attrs},
        )  # fmt: skip
        inner.note_users(function.node, function.output)
        self._walk_optional(function, inner)
        return [inner.values.get(out) for out in function.output]

    def _walk_optional(self, function: Any, inner: _Scope) -> None:
        """Walk a body in which inputs may be left out: those read as the empty name."""
        absent = {name for name in function.input if inner.values[name] is None}
        nodes = []
        for node in function.node:
            if absent.intersection(node.input):
                copy = type(node)()
                copy.CopyFrom(node)
                copy.input[:] = ["" if n in absent else n for n in node.input]
                node = copy
            nodes.append(node)
        self._walk(nodes, inner)

    def _branch(self, call: Call, scope: _Scope) -> list[Value | None]:
        """If with a known condition: the branch that is taken, in place."""
        taken = bool(call.known(0, "condition").reshape(-1)[0])
        body = call.required("then_branch" if taken else "else_branch")
        inner = _Scope(
            scope.opsets, f"{call.name}/", scope.depth + 1, dict(scope.values), scope.attrs
        )
        inner.tensors = dict(scope.tensors)
        outputs = [o.name for o in body.output]
        inner.note_users(body.node, outputs)
        self._enter(body, inner)
        self._walk(body.node, inner)
        return [self._value(n, inner, call.name) for n in outputs]


def _is_of(name: str, value: Value) -> bool:
    """Whether the node of this name made the value, or the body that stands in its place did."""
    return value.producer is not None and value.name.startswith(f"{name}/")


def _input_dtype(info: Any) -> DType:
    elem = info.type.tensor_type.elem_type
    dtype = dtype_of(elem)
    if dtype is None:
        kind = attributes.type_name(info.type)
        raise Unsupported(
            "the model has an input that no runtime takes",
            [Finding(info.name, "input", kind, f"inputs of {kind} are not supported")],
        )
    return dtype


def _has_dtype(array: Array) -> bool:
    try:
        DType.of(array)
    except ValueError:
        return False
    return True


def _check_finite(array: Array, name: str, users: list[str]) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    if np.isnan(array).any() or not _TAKES_INFINITY.issuperset(users):
        kind = "NaN" if np.isnan(array).any() else "infinite"
        raise BadModel(
            f"tensor {name} has {kind} values",
            hint="the training may have diverged; export a healthy checkpoint",
        )
