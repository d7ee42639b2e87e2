"""Small ONNX models from onnx's text form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgepack.ir import Graph
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime


def model(
    body: str, inputs: str = "float[1,3,8,8] x", outputs: str = "float[] y", *, opset: int = 17,
    **constants: Any,
) -> Any:  # fmt: skip
    """A ModelProto; `constants` become initializers. The outputs' shapes are inferred."""
    imports = f'"" : {opset}, "local" : 1, "com.microsoft" : 1'
    text = f"<ir_version: 8, opset_import: [{imports}]> g ({inputs}) => ({outputs}) {{ {body} }}"
    proto = onnx.parser.parse_model(text)
    for name, content in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    for output in proto.graph.output:  # the text form needs some shape: take it away again
        output.type.tensor_type.ClearField("shape")
    return proto


def save(path: Path, proto: Any) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def read(proto: Any, **options: Any) -> Graph:
    return read_onnx(proto, ReadOptions(**options))


def feeds(graph: Graph, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=v.shape) if v.dtype.is_float else rng.integers(-9, 9, v.shape)).astype(
            v.dtype.numpy
        )
        for v in graph.inputs
    ]


def assert_like_ort(proto: Any, **options: Any) -> Graph:
    """Read a model, run it by the reference executor and by ONNX Runtime, compare all outputs."""
    graph = read(proto, **options)
    arrays = feeds(graph)
    got = ReferenceRuntime(graph).run(arrays)
    want = OrtRuntime(proto.SerializeToString(), exact=True).run(arrays)
    for ours, theirs in zip(got, want, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    return graph
