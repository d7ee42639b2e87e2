"""LiteRT (formerly TensorFlow Lite) on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Array, QuantParams
from edgepack.run.base import TensorInfo, dtype_named
from edgepack.silence import native_output_silenced


class LiteRTRuntime:
    """A `.tflite` file's bytes, loaded with `threads` threads.

    `reference_kernels` takes the plain kernels, without XNNPACK. Raises BadModel, with LiteRT's own
    words, when it refuses the file.
    """

    def __init__(self, model: bytes, *, threads: int = 1, reference_kernels: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.BUILTIN_REF if reference_kernels else OpResolverType.AUTO
        try:
            with native_output_silenced():
                self._interpreter = Interpreter(
                    model_content=model,
                    num_threads=threads,
                    experimental_op_resolver_type=resolver,
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as problem:
            raise BadModel(f"LiteRT does not load the model: {problem}") from problem
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._in = [d["index"] for d in inputs]
        self._out = [d["index"] for d in outputs]
        self.inputs = [_info(d) for d in inputs]
        self.outputs = [_info(d) for d in outputs]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Runtime.run`."""
        self._invoke(inputs)
        return [self._interpreter.get_tensor(index) for index in self._out]

    def run_views(self, inputs: Sequence[Array]) -> list[Array]:
        """The same without copies: the outputs are LiteRT's own memory.

        Whoever calls drops every one of them before the next run, which LiteRT refuses else.
        """
        self._invoke(inputs)
        return [self._interpreter.tensor(index)() for index in self._out]

    def _invoke(self, inputs: Sequence[Array]) -> None:
        self._interpreter.reset_all_variables()  # samples are independent, states are not kept
        for index, array in zip(self._in, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()


def _info(detail: dict[str, Any]) -> TensorInfo:
    record = detail["quantization_parameters"]
    scales, zeros = record["scales"], record["zero_points"]
    quant = QuantParams.per_tensor(float(scales[0]), int(zeros[0])) if len(scales) else None
    name = np.dtype(detail["dtype"]).name
    shape = tuple(int(d) for d in detail["shape"])
    return TensorInfo(detail["name"], shape, dtype_named(name), quant)
