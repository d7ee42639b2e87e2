"""ONNX Runtime on this machine's CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Array
from edgepack.run.base import TensorInfo, dtype_named

_FATAL_ONLY = 4


class OrtRuntime:
    """A `.onnx` file's bytes, loaded with `threads` threads. Raises BadModel when ORT refuses it.

    ONNX declares no quantization of inputs and outputs, so `quant` is None in their description.
    `exact` asks for kernels whose 16-bit sums do not saturate on x86 processors without VNNI: files
    with int8 weights need it, or with weights that ONNX Runtime makes int8; edgepack's have uint8.
    """

    def __init__(self, model: bytes, *, threads: int = 1, exact: bool = False) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        if exact:
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as problem:  # its exceptions share no base class but Exception
            raise BadModel(f"ONNX Runtime does not load the model: {problem}") from problem
        self.inputs = [_info(i) for i in self._session.get_inputs()]
        self.outputs = [_info(o) for o in self._session.get_outputs()]
        self._in = [i.name for i in self.inputs]
        self._out = [o.name for o in self.outputs]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Runtime.run`."""
        feeds = dict(zip(self._in, inputs, strict=True))
        return [np.asarray(array) for array in self._session.run(self._out, feeds)]


_TYPES = {"float": "float32", "double": "float64"}


def _info(described: Any) -> TensorInfo:
    name = described.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(int(d) if isinstance(d, int) else 1 for d in described.shape)
    return TensorInfo(described.name, shape, dtype_named(_TYPES.get(name, name)))
