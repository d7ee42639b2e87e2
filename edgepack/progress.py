"""Long work says how far it is; whoever shows that listens (the command line draws a bar)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# What is done of how much, and what the work is.
Listener = Callable[[int, int, str], None]


def _nobody(done: int, total: int, what: str) -> None:
    """Let it pass."""


_listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)


def advance(done: int, total: int, what: str) -> None:
    """Say that `done` of `total` steps of the work `what` are over."""
    _listener.get()(done, total, what)


@contextmanager
def shown_by(listener: Listener) -> Iterator[None]:
    """Let `listener` hear of all progress inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
