"""A module's ATen graph, recorded from one run: what torch.export gives, at a fifth of the time.

torch.export imports torch's compiler and symbolic algebra (two seconds) to prove what a run with
static shapes shows by itself. The module runs once on the example inputs, and every operator that
reaches the dispatcher is written down. A run cannot show everything, so nothing is guessed: where a
tensor's content steers Python code or leaves torch, where an operator is not in the table, where
tensors that share memory are changed in place, or where a tensor turns up that neither the module
nor the run has made, `record` gives None and torch.export decides.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from edgepack.readers.torch.translate import Captured


class _Unclear(Exception):
    """A run does not show what the module does for other inputs."""


def record(
    module: Any, arguments: tuple[Any, ...], names: Sequence[str], *, in_pieces: bool = False
) -> Captured | None:
    """The graph of a module in eval mode, its inputs called `names`; None where it stays unclear.

    `arguments` are tensors that are not changed. With `in_pieces` it also holds what torch.export
    would give with fewer operators.
    """
    import torch

    recorder = _Recorder(module)
    copies = tuple(a.clone() for a in arguments)
    inputs = [recorder.placeholder(n, t) for n, t in zip(names, copies, strict=True)]
    try:
        left = _leaving() if in_pieces else _leaving() | _clearer_exported()
        with (
            torch.no_grad(),
            _recording(recorder, left),
            _layers(recorder, module),
            _plain_attention(),
        ):
            results = module(*copies)
        recorder.graph.output(tuple(recorder.node_of(t) for t in _tensors(results)))
    except Exception:  # whatever it is, torch.export meets it too, and explains it
        return None
    count = len(list(_tensors(results)))
    found = [node.name for node in inputs]
    return Captured(list(recorder.graph.nodes), found, recorder.constants, range(count))


def _tensors(results: Any) -> Iterator[Any]:
    """The tensors of nested tuples, lists and dictionaries, as torch.export orders them."""
    if isinstance(results, Mapping):
        results = list(results.values())
    if isinstance(results, list | tuple):
        for item in results:
            yield from _tensors(item)
    elif hasattr(results, "untyped_storage"):
        yield results
    else:
        raise _Unclear("an output is no tensor")


@dataclass(frozen=True, slots=True)
class _Result:
    """One of several results of a node, which gets a node of its own when something reads it."""

    node: Any
    index: int


class _Recorder:
    """Nodes for calls; tensors are known by identity and not kept alive."""

    def __init__(self, module: Any) -> None:
        import torch
        from torch.utils.weak import WeakIdKeyDictionary

        self.graph = torch.fx.Graph()
        self.constants: dict[str, Any] = {}
        self.path: list[tuple[str, Any]] = []
        self._nodes: Any = WeakIdKeyDictionary()
        self._held = {id(t): t for t in _held_tensors(module)}

    def placeholder(self, name: str, tensor: Any) -> Any:
        """A node for a tensor that is given."""
        node = self.graph.placeholder(name)
        node.meta["val"] = _spec(tensor)
        self._nodes[tensor] = node
        return node

    def node_of(self, tensor: Any) -> Any:
        """The node that made `tensor`, or a new one where the module holds it."""
        found = self._nodes.get(tensor)
        if isinstance(found, _Result):
            found = self._getitem(found, tensor)
        if found is None and id(tensor) in self._held:
            found = self.hold(tensor)
        if found is None:
            raise _Unclear("a tensor from outside")
        return found

    def hold(self, tensor: Any) -> Any:
        """A node for a tensor whose content is known."""
        node = self.placeholder("held", tensor)
        self.constants[node.name] = tensor
        return node

    def _getitem(self, result: _Result, tensor: Any) -> Any:
        node = self.graph.call_function(operator.getitem, (result.node, result.index))
        node.meta["val"] = _spec(tensor)
        self._nodes[tensor] = node
        return node

    def call(self, target: Any, args: Any, kwargs: Any, results: Any) -> None:
        """Write one call down."""
        import torch

        node = self.graph.call_function(target, self._arguments(args), self._arguments(kwargs))
        several = isinstance(results, list | tuple)
        tensors = list(results) if several else [results]
        specs = [_spec(t) if isinstance(t, torch.Tensor) else t for t in tensors]
        node.meta["val"] = specs if several else specs[0]
        if self.path:
            node.meta["nn_module_stack"] = {"module": self.path[-1]}
        for index, tensor in enumerate(tensors):
            if isinstance(tensor, torch.Tensor):
                self._nodes[tensor] = _Result(node, index) if several else node

    def refuse_change(self, tensor: Any) -> None:
        """Raise _Unclear when `tensor`, or what it is a view of, was given: it stays as it is."""
        node = self.node_of(tensor)
        while node.op == "call_function" and _shares_first_argument(node):
            node = node.args[0]
        if node.op == "placeholder":
            raise _Unclear("the module changes what it was given")

    def _arguments(self, item: Any) -> Any:
        import torch

        if isinstance(item, torch.Tensor):
            return self.node_of(item)
        if isinstance(item, list | tuple):
            return tuple(self._arguments(entry) for entry in item)
        if isinstance(item, dict):
            return {key: self._arguments(entry) for key, entry in item.items()}
        return item


def _shares_first_argument(node: Any) -> bool:
    if node.target is operator.getitem:
        return True
    return any(result.alias_info for result in node.target._schema.returns)


def _spec(tensor: Any) -> SimpleNamespace:
    return SimpleNamespace(shape=tuple(tensor.shape), dtype=tensor.dtype)


def _held_tensors(module: Any) -> Iterator[Any]:
    """Parameters, buffers and plain tensor attributes of a module and those within it."""
    import torch

    for part in module.modules():
        for item in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(item, torch.Tensor):
                yield item


@contextlib.contextmanager
def _layers(recorder: _Recorder, module: Any) -> Iterator[None]:
    """Keep `recorder.path` at the module that is running."""
    names = {part: name for name, part in module.named_modules()}

    def enter(part: Any, inputs: Any) -> None:
        recorder.path.append((names.get(part, ""), type(part)))

    def leave(part: Any, inputs: Any, outputs: Any) -> None:
        recorder.path.pop()

    hooks = [part.register_forward_pre_hook(enter) for part in names]
    hooks += [part.register_forward_hook(leave) for part in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused encoder layer that torch takes for itself in eval mode."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _kept_whole() -> dict[Callable[..., Any], Any]:
    """Functions that the dispatcher would see in pieces, and their operators."""
    import torch

    aten = torch.ops.aten
    return {
        torch._C._nn.linear: aten.linear.default,
        torch._C._nn.scaled_dot_product_attention: aten.scaled_dot_product_attention.default,
        torch.matmul: aten.matmul.default,
        torch.Tensor.matmul: aten.matmul.default,
        torch.Tensor.__matmul__: aten.matmul.default,
        torch.lstm: aten.lstm.input,
        torch.gru: aten.gru.input,
        torch.rnn_tanh: aten.rnn_tanh.input,
        torch.rnn_relu: aten.rnn_relu.input,
        torch.lstm_cell: aten.lstm_cell.default,
        torch.gru_cell: aten.gru_cell.default,
        torch.rnn_tanh_cell: aten.rnn_tanh_cell.default,
        torch.rnn_relu_cell: aten.rnn_relu_cell.default,
    }


def _leaving() -> frozenset[Callable[..., Any]]:
    """Methods by which a tensor's content leaves torch without an operator."""
    import torch

    names = ("numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "storage")
    return frozenset(getattr(torch.Tensor, name) for name in names)


def _clearer_exported() -> frozenset[Callable[..., Any]]:
    """Functions within which a run does not see the dense layers as such."""
    import torch

    return frozenset([torch.nn.functional.multi_head_attention_forward])


@contextlib.contextmanager
def _recording(recorder: _Recorder, left: frozenset[Callable[..., Any]]) -> Iterator[None]:
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    whole = _kept_whole()
    paused, lift_fresh = False, torch.ops.aten.lift_fresh.default

    class Operators(TorchDispatchMode):  # type: ignore[misc]
        """Writes down what the dispatcher is asked for."""

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Not asked for: the wrapper that hides us from torch's compiler imports it."""
            return False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if not paused and func._schema.is_mutable:
                recorder.refuse_change(args[0])
            results = func(*args, **(kwargs or {}))
            if not paused and func is lift_fresh:  # of torch.tensor(...)
                recorder.hold(results)
            elif not paused:
                recorder.call(func, args, kwargs or {}, results)
            return results

    class Functions(TorchFunctionMode):  # type: ignore[misc]
        """Writes down some functions whole, before they are taken to pieces."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal paused
            if func in left:
                raise _Unclear(f"{func} is left to torch.export")
            target = whole.get(func)
            if target is None or paused:
                return func(*args, **(kwargs or {}))
            paused = True
            try:
                results = func(*args, **(kwargs or {}))
            finally:
                paused = False
            recorder.call(target, *_by_schema(target, args, kwargs or {}), results)
            return results

    with Operators(), Functions():
        yield


def _by_schema(target: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments, sure to be those of the operator."""
    declared = {argument.name for argument in target._schema.arguments}
    if len(args) > len(target._schema.arguments) or not set(kwargs) <= declared:
        raise _Unclear("arguments that the operator does not have")
    return args, kwargs
