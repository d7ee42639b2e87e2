"""A table of functions by name, filled by decorating them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from edgepack.errors import InternalError

Entry = TypeVar("Entry")
Function = TypeVar("Function", bound=Callable[..., Any])


class Registry(dict[str, Entry], Generic[Entry]):
    """Functions by name; `@table("Name", …)` enters one under each name.

    `what` names the entries, in the plural. Raises InternalError when a name is taken.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def __call__(self, *names: str) -> Callable[[Function], Function]:
        """Decorator: this function is the entry of these names."""

        def register(function: Function) -> Function:
            for name in names:
                if name in self:
                    raise InternalError(f"{name} has two {self.what}")
                self[name] = function  # type: ignore[assignment]  # an Entry, by its module's word
            return function

        return register
