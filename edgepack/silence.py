"""Keeps what native libraries print off the user's terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_output_silenced(*descriptors: int) -> Iterator[None]:
    """Send the process's file descriptors (2, stderr, by default) to a scratch file for a while.

    Python's own streams are flushed before and after; what was written in between is dropped.
    """
    wanted = descriptors or (2,)
    _flush()
    saved = {fd: os.dup(fd) for fd in wanted}
    with tempfile.TemporaryFile() as scratch:
        for fd in wanted:
            os.dup2(scratch.fileno(), fd)
        try:
            yield
        finally:
            _flush()
            for fd, copy in saved.items():
                os.dup2(copy, fd)
                os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
