"""TensorFlow and Keras, imported on demand and kept from talking on the user's terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from edgepack.errors import MissingDependency


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[Any]:
    """The tensorflow package; what it writes to standard error meanwhile is thrown away.

    Raises MissingDependency when it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with warnings.catch_warnings(), _no_native_stderr():
        warnings.simplefilter("ignore")
        try:
            import tensorflow as tf
        except ImportError as problem:
            raise MissingDependency(
                "tensorflow", "tensorflow", "reading a Keras model or SavedModel"
            ) from problem
        logger.setLevel(logging.CRITICAL)
        try:
            yield tf
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def _no_native_stderr() -> Iterator[None]:
    """Its C++ code writes to file descriptor 2 before any log level is looked at."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is no such descriptor to be quiet on
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
