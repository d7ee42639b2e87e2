"""TensorFlow and Keras, imported on demand and kept from talking on the user's terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from edgepack.errors import MissingDependency
from edgepack.silence import native_output_silenced


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[Any]:
    """The tensorflow package; what it writes to standard error meanwhile is thrown away.

    Raises MissingDependency when it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with warnings.catch_warnings(), native_output_silenced():
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
