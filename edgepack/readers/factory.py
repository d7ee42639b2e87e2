"""Models made by the user's own code: `file.py:factory` and `package.module:factory`."""

from __future__ import annotations

from typing import Any

from edgepack.errors import BadModel
from edgepack.user_code import load_function


def is_factory(spec: str) -> bool:
    """Whether `spec` reads as a file or module, a colon, and a name in it."""
    place, colon, name = spec.rpartition(":")
    return bool(colon and place) and name.isidentifier()


def call_factory(spec: str) -> Any:
    """What the callable that `spec` names returns, called without arguments.

    The user named it, so it is run. Raises BadModel when there is no such file, module or name, and
    when it fails.
    """
    factory = load_function(spec, BadModel)
    try:
        return factory()
    except (Exception, SystemExit) as problem:
        reason = f"{type(problem).__name__}: {problem}"
        raise BadModel(f"{factory.name}() failed: {reason}", at=factory.place) from problem
