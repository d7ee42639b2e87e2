"""A model file as a checked protobuf message, and its tensors as arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Array, DType

OLDEST_OPSET = 7


@dataclass(frozen=True, slots=True)
class Loaded:
    """A ModelProto, the folder that its external data lies in if known, the bytes' sha256."""

    proto: Any
    folder: Path | None
    sha256: str


def load_proto(source: str | os.PathLike[str] | bytes | Any) -> Loaded:
    """The model of a path, of bytes, or given as a ModelProto.

    Raises BadModel when there is no such file, or when it is not a whole ONNX model.
    """
    import onnx

    if isinstance(source, onnx.ModelProto):
        return Loaded(_checked(source, "the model"), None, _sha256(source.SerializeToString()))
    if isinstance(source, bytes):
        return Loaded(_parse(source, "the model"), None, _sha256(source))
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise BadModel(f"{path} cannot be read: {problem.strerror}") from problem
    return Loaded(_parse(data, str(path)), path.parent, _sha256(data))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parse(data: bytes, where: str) -> Any:
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as problem:  # protobuf's own error types are not part of its typed interface
        raise BadModel(
            f"{where} is not an ONNX model, or it is damaged",
            hint="export or download the file again; it may be truncated",
        ) from problem
    return _checked(model, where)


def _checked(model: Any, where: str) -> Any:
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise BadModel(f"{where} holds no ONNX graph", hint="is it really an ONNX file?")
    if not model.graph.output:
        raise BadModel(f"{where} has no outputs")
    if not all(isinstance(text, str) for text in _names(model)):  # protobuf gives bytes instead
        raise BadModel(f"{where} is damaged: it has names that are no text")
    return model


def _names(model: Any) -> Iterator[str]:
    """Every name that the reader looks at."""
    yield model.graph.name
    yield from (entry.domain for entry in model.opset_import)
    values = (model.graph.input, model.graph.output, model.graph.initializer)
    yield from (entry.name for group in values for entry in group)
    bodies = [model.graph, *model.functions]
    for node in (node for body in bodies for node in body.node):
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def opset_versions(imports: Any) -> dict[str, int]:
    """Version per operator domain; raises BadModel for an opset that is too new."""
    import onnx

    versions = {_domain(entry.domain): int(entry.version) for entry in imports}
    newest = onnx.defs.onnx_opset_version()
    version = versions.setdefault("", newest)
    if version > newest:
        raise BadModel(
            f"the model uses opset {version}, newer than the installed onnx package knows",
            hint="upgrade the onnx package",
        )
    return versions


def check_not_older(nodes: Any, versions: Mapping[str, int]) -> None:
    """Raise BadModel when the model is older than opset 7 and an operator has changed since."""
    from onnx.defs import SchemaError, get_schema

    version = versions[""]
    if version >= OLDEST_OPSET:
        return
    for op in sorted({node.op_type for node in nodes if not _domain(node.domain)}):
        try:
            then, since = get_schema(op, version, ""), get_schema(op, OLDEST_OPSET, "")
        except SchemaError:
            then = since = None
        if then is None or then.since_version != since.since_version:
            raise BadModel(
                f"the model uses {op} of opset {version}, older than {OLDEST_OPSET}",
                hint="convert it with onnx.version_converter, or export it again",
            )


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


# -- element types ---------------------------------------------------------------------------------


def dtype_of(elem_type: int) -> DType | None:
    """The IR's type for ONNX's number of an element type; None when it has none.

    bfloat16 is read as float32, 4- and 2-bit integers as 8-bit ones (see `narrow_limits`).
    """
    from onnx import TensorProto as T

    wider = {
        T.FLOAT: "float32", T.DOUBLE: "float64", T.BFLOAT16: "float32",
        T.UINT4: "uint8", T.INT4: "int8", T.INT2: "int8", T.UINT2: "uint8",
    }  # fmt: skip
    try:
        return DType(wider.get(elem_type) or T.DataType.Name(elem_type).lower())
    except ValueError:
        return None


def narrow_limits(elem_type: int) -> tuple[int, int] | None:
    """Smallest and largest value of the integer types below 8 bits; None for other types."""
    from onnx import TensorProto as T

    limits = {T.INT4: (-8, 7), T.UINT4: (0, 15), T.INT2: (-2, 1), T.UINT2: (0, 3)}
    return limits.get(elem_type)


# -- tensors ---------------------------------------------------------------------------------------


def tensor_array(tensor: Any, folder: Path | None, *, trust: bool) -> Array:
    """The content of a TensorProto. Raises BadModel when it is damaged or lies out of bounds."""
    import onnx
    from onnx import numpy_helper

    name = tensor.name or "a tensor"
    if any(d < 0 for d in tensor.dims):
        raise BadModel(f"tensor {name} has the shape {list(tensor.dims)}")
    try:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return _external_array(tensor, folder, trust=trust)
        array: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as problem:
        raise BadModel(f"tensor {name} is damaged: {problem}") from problem
    return _storable(array, name)


def _storable(array: Array, name: str) -> Array:
    """Types that numpy lacks as the ones that `dtype_of` names."""
    kind = array.dtype.name
    if kind == "bfloat16":
        return array.astype(np.float32)
    if kind in ("int4", "int2"):
        return array.astype(np.int8)
    if kind in ("uint4", "uint2"):
        return array.astype(np.uint8)
    return array


def _external_array(tensor: Any, folder: Path | None, *, trust: bool) -> Array:
    from onnx import helper

    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _confined(entries.get("location", ""), folder, tensor.name, trust=trust)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")
    count = int(np.prod(list(tensor.dims), dtype=np.int64))
    offset = _whole(entries, "offset", 0, tensor.name)
    length = _whole(entries, "length", count * dtype.itemsize, tensor.name)
    if length != count * dtype.itemsize:
        raise BadModel(f"tensor {tensor.name} says {length} bytes, its shape {count} elements")
    try:
        if path.stat().st_size < offset + length:
            raise BadModel(f"{path.name} is too short for tensor {tensor.name}")
        flat = np.fromfile(path, dtype, count, offset=offset)
    except OSError as problem:
        raise BadModel(
            f"{path.name}, which holds tensor {tensor.name}, cannot be read: {problem.strerror}",
            hint="keep the file beside the model",
        ) from problem
    return _storable(flat.reshape(list(tensor.dims)), tensor.name)


def _whole(entries: Mapping[str, str], key: str, default: int, name: str) -> int:
    text = entries.get(key, str(default))
    if not text.isdigit():
        raise BadModel(f"tensor {name} has the {key} {text!r} in its external data")
    return int(text)


def _confined(location: str, folder: Path | None, name: str, *, trust: bool) -> Path:
    if folder is None:
        raise BadModel(
            f"tensor {name} lies in the file {location!r}, but the model was not read from a file",
            hint="pass the path of the model",
        )
    home = folder.resolve()
    path = (folder / location).resolve()
    inside = path != home and path.is_relative_to(home)
    escapes = Path(location).is_absolute() or ".." in Path(location).parts or not inside
    if not location or (escapes and not trust):
        raise BadModel(
            f"tensor {name} lies in {location!r}, outside of the model's folder",
            hint="pass --trust if you know where the model comes from",
        )
    return path
