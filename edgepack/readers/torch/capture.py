"""From a module to a flat ATen graph, by recording a run or by torch.export.

An exported graph is read as it is wherever the table knows all of it. torch's decompositions, which
take as long as the export, run only when an operator is not known or when tensors that share memory
are changed in place; and then all known operators are kept whole.
"""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from edgepack.errors import BadModel, MissingDependency
from edgepack.readers.torch.record import record
from edgepack.readers.torch.registry import find
from edgepack.readers.torch.translate import Captured, in_place, target_name


@contextlib.contextmanager
def quiet_torch() -> Iterator[Any]:
    """The torch package, its warnings and log lines kept from the user's terminal.

    Raises MissingDependency when it is not installed.
    """
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torch
        except ImportError as problem:
            raise MissingDependency("torch", "torch", "reading a PyTorch model") from problem
        logger.setLevel(logging.CRITICAL)
        try:
            yield torch
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def only_weights(trust: bool) -> Iterator[None]:
    """Every torch.load inside takes tensors only, also where torch itself would not ask for it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    if not trust:
        os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def recorded(
    module: Any, arguments: tuple[Any, ...], names: Sequence[str], *, in_pieces: bool = False
) -> Captured | None:
    """The graph of a module in eval mode as one run shows it; None where that is unclear."""
    with _eval_mode(module):
        captured = record(module, arguments, names, in_pieces=in_pieces)
    return None if captured is None or _unclear(captured) else captured


def _unclear(captured: Captured) -> bool:
    live = _live(captured)
    return any(_unknown(node) for node in live) or _shares_memory(live)


@contextlib.contextmanager
def _eval_mode(module: Any) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def export(module: Any, arguments: tuple[Any, ...]) -> Any:
    """The ExportedProgram of a module in eval mode; its mode is restored afterwards.

    Raises BadModel with torch's reason when it cannot be traced.
    """
    import torch

    try:
        with _eval_mode(module), torch.no_grad(), _no_prints():
            return torch.export.export(module, arguments, strict=False)
    except Exception as problem:
        raise BadModel(
            f"torch.export cannot trace the model: {first_line(problem)}",
            hint="a model with data-dependent control flow, or another input shape?",
        ) from problem


@contextlib.contextmanager
def _no_prints() -> Iterator[None]:
    """When it fails, torch.export prints the graph so far."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def first_line(problem: BaseException) -> str:
    """The kind of an exception and the first line of its message."""
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__


def flatten(program: Any) -> Captured:
    """The nodes of an exported program, decomposed only as far as needed."""
    captured = _captured(program)
    return _captured(_decomposed(program)) if _unclear(captured) else captured


def _captured(program: Any) -> Captured:
    inputs: list[str] = []
    constants: dict[str, Any] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind.name == "USER_INPUT":
            inputs.append(spec.arg.name)
        elif spec.target in program.state_dict:
            constants[spec.arg.name] = program.state_dict[spec.target]
        elif spec.target in program.constants:
            constants[spec.arg.name] = program.constants[spec.target]
    kinds = [spec.kind.name for spec in program.graph_signature.output_specs]
    outputs = [i for i, kind in enumerate(kinds) if kind == "USER_OUTPUT"]
    return Captured(list(program.graph.nodes), inputs, constants, outputs)


def _live(captured: Captured) -> Sequence[Any]:
    """The calls that depend on an input; torch computes the others."""
    reached = {n for n in captured.nodes if n.op == "placeholder" and n.name in captured.inputs}
    calls = []
    for node in captured.nodes:
        if node.op == "call_function" and any(n in reached for n in node.all_input_nodes):
            reached.add(node)
            calls.append(node)
    return calls


def _unknown(node: Any) -> bool:
    return hasattr(node.target, "_schema") and find(target_name(node)) is None


def _shares_memory(calls: Sequence[Any]) -> bool:
    """Whether something is changed in place of which there may be another view."""
    return any(in_place(node) and not _owns_memory(node.args[0]) for node in calls)


def _owns_memory(node: Any) -> bool:
    if node.target is operator.getitem and hasattr(node.args[0].target, "_schema"):
        return not _is_view(node.args[0]) and not any(_is_view(user) for user in node.users)
    if node.op != "call_function" or not hasattr(node.target, "_schema"):
        return False
    if in_place(node):
        return _owns_memory(node.args[0])
    return not _is_view(node) and not any(_is_view(user) for user in node.users)


def _is_view(node: Any) -> bool:
    if not hasattr(node.target, "_schema"):
        return False
    return not in_place(node) and any(r.alias_info for r in node.target._schema.returns)


def _decomposed(program: Any) -> Any:
    """The program with unknown operators taken apart, and without changes in place."""
    import torch

    table = torch.export.default_decompositions()
    for target in list(table.keys()):
        if find(str(target)) is not None and not in_place_name(str(target)):
            table.pop(target)
    try:
        return program.run_decompositions(table)
    except Exception as problem:
        raise BadModel(f"torch cannot decompose the model: {first_line(problem)}") from problem


def in_place_name(target: str) -> bool:
    """Whether `aten.add_.Tensor` changes its argument."""
    return target.rpartition(".")[0].endswith("_")
