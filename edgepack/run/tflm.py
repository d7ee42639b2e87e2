"""TensorFlow Lite Micro on the host: the PyPI package tflite-micro, with its reference kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.errors import BadModel, MissingDependency
from edgepack.ir import Array
from edgepack.run.base import TensorInfo
from edgepack.silence import native_output_silenced

_ARENA_BYTES = 64 << 20  # the host has room: whether it fits the device is the planner's question


class TflmRuntime:
    """A `.tflite` file's bytes. `inputs` and `outputs` are given: the package does not tell names.

    Raises MissingDependency without the package, BadModel when the interpreter refuses the file.
    """

    def __init__(
        self, model: bytes, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
    ) -> None:
        try:
            from tflite_micro.python.tflite_micro import runtime
        except ImportError as problem:
            raise MissingDependency(
                "tflite-micro", "mcu", "running TensorFlow Lite Micro"
            ) from problem
        self.inputs, self.outputs = list(inputs), list(outputs)
        try:
            with native_output_silenced():
                self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES)
        except (RuntimeError, ValueError) as problem:
            raise BadModel(f"TensorFlow Lite Micro does not load the model: {problem}") from problem

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Runtime.run`."""
        self._interpreter.reset()  # samples are independent, states are not kept
        for index, array in enumerate(inputs):
            self._interpreter.set_input(np.asarray(array, order="C"), index)
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_output(i)) for i in range(len(self.outputs))]
