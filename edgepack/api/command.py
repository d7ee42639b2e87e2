"""The command that does again what was done, from the command line or from Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from edgepack.api.options import ExportOptions
from edgepack.devices import Target

_DEFAULTS: Final = {field.name: field.default for field in fields(ExportOptions)}
_REPEATED: Final = ("layer", "compress")


def command_line(
    command: str,
    model: Any,
    target: str | Path | Target,
    options: Mapping[str, Any],
    out: str | Path | None = None,
) -> str:
    """One line for a shell; what only Python has (modules, arrays) stands in it as `<its type>`."""
    device = target.id if isinstance(target, Target) else target
    words = ["edgepack", command, _text(model), "--target", str(device)]
    if out is not None:
        words += ["--out", str(out)]
    for name in _DEFAULTS:
        words += _option(name, options.get(name))
    return shlex.join(words)


def _option(name: str, value: Any) -> Iterator[str]:
    """The words that give one option; none where it is left at its default."""
    flag = f"--{name.replace('_', '-')}"
    empty = value is None or (isinstance(value, list | tuple | dict) and not value)
    if empty or (isinstance(value, bool | int | float | str) and value == _DEFAULTS.get(name)):
        return
    if value is True:
        yield flag
        return
    for text in _texts(name, value):
        if text.startswith("-"):
            yield f"{flag}={text}"
        else:
            yield from (flag, text)


def _texts(name: str, value: Any) -> list[str]:
    """The option's value, or values where it may be repeated."""
    if name == "layer" and isinstance(value, Mapping):
        return [f"{layer}={precision}" for layer, precision in value.items()]
    if name in _REPEATED:
        entries = [value] if isinstance(value, str | Mapping) else value
        return [_step(entry) for entry in entries]
    if name == "input_shape" and isinstance(value, Mapping):
        return [";".join(f"{key}:{_joined(shape)}" for key, shape in value.items())]
    return [_text(value)]


def _step(entry: Any) -> str:
    """A compression step in one line, where it has no settings by layer."""
    if not isinstance(entry, Mapping):
        return str(entry)
    settings = {key: value for key, value in entry.items() if key != "technique"}
    if any(isinstance(value, Mapping) for value in settings.values()):
        return "<table>"
    return ",".join([str(entry.get("technique")), *(f"{k}={v}" for k, v in settings.items())])


def _text(value: Any) -> str:
    if isinstance(value, str | int | float | Path):
        return str(value)
    if isinstance(value, Sequence) and all(isinstance(v, str | int | float) for v in value):
        return _joined(value)
    return f"<{type(value).__name__}>"


def _joined(parts: Sequence[Any]) -> str:
    return ",".join(str(part) for part in parts)
