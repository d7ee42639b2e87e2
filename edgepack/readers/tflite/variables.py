"""Rows of variables (see `states`)."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.tflite.registry import OpView, reads


@reads("VAR_HANDLE")
def var_handle(op: OpView) -> Sequence[Value]:
    """VAR_HANDLE: a handle of the variable with a name in a container."""
    options = op.options("VarHandleOptions")
    parts = [_text(options.container), _text(options.sharedName)]
    name = "/".join(part for part in parts if part) or op.stem
    op.states.declare(op.outputs[0].index, name)
    return ()


def _text(field: bytes | str | None) -> str:
    return field.decode(errors="replace") if isinstance(field, bytes) else field or ""


@reads("READ_VARIABLE")
def read_variable(op: OpView) -> Sequence[Value]:
    """READ_VARIABLE."""
    if len(op.outputs) != 1:
        raise BadModel(f"READ_VARIABLE has {len(op.outputs)} outputs")
    return [op.states.read(op.index_of_input(0), op.outputs[0])]


@reads("ASSIGN_VARIABLE")
def assign_variable(op: OpView) -> Sequence[Value]:
    """ASSIGN_VARIABLE."""
    op.states.assign(op.index_of_input(0), op.input(1))
    return ()


@reads("CALL_ONCE")
def call_once(op: OpView) -> Sequence[Value]:
    """CALL_ONCE gives variables their first values; here whoever runs the graph does."""
    return ()
