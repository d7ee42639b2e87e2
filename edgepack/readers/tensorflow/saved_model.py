"""SavedModel folders, read without TensorFlow's loader.

That loader revives Python objects and fails on old ones; here the signature's graph is read, with
its functions, and the variables from the checkpoint beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput, BadModel
from edgepack.ir import DType, Graph
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import Dim, input_shapes
from edgepack.readers.tensorflow.attributes import type_name
from edgepack.readers.tensorflow.call import Const, Item, dtype_name, normal
from edgepack.readers.tensorflow.graphdef import Interpreter


def saved_model_graph(path: Path, options: ReadOptions) -> Graph:
    """The graph of a SavedModel's serving signature. Raises BadModel when files are damaged."""
    meta = _meta_graph(path)
    signature = _signature(path, meta)
    graph = Graph(path.resolve().name)
    interpreter = Interpreter(graph, list(meta.graph_def.library.function), _variables(path, meta))
    feeds: dict[str, Item] = {}
    declared = {key: _dims(signature.inputs[key]) for key in sorted(signature.inputs)}
    for key, shape in input_shapes(declared, options).items():
        info = signature.inputs[key]
        dtype = DType(dtype_name(type_name(info.dtype)))
        feeds[info.name.split(":")[0]] = graph.add_input(key, shape, dtype)
    names = sorted(signature.outputs)
    refs = [signature.outputs[name].name for name in names]
    results = interpreter.run(list(meta.graph_def.node), feeds, refs)
    interpreter.finish()
    graph.outputs = [
        interpreter.as_value(item, name) for item, name in zip(results, names, strict=True)
    ]
    for value, name in zip(graph.outputs, names, strict=True):
        if value.producer is not None:
            value.name = graph.fresh(name)
    return graph


def _dims(info: Any) -> list[Dim] | None:
    """The declared dimensions of a tensor; -1 is an open one."""
    if info.tensor_shape.unknown_rank:
        return None
    return [None if d.size < 0 else int(d.size) for d in info.tensor_shape.dim]


def _meta_graph(path: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception as problem:  # protobuf's own DecodeError has no typed home
        raise BadModel(f"{path}/saved_model.pb is damaged: {problem}") from problem
    serving = [m for m in model.meta_graphs if "serve" in m.meta_info_def.tags]
    if not serving:
        raise BadModel(f"{path} has no graph tagged 'serve'")
    return serving[0]


def _signature(path: Path, meta: Any) -> Any:
    found = {k: s for k, s in meta.signature_def.items() if s.inputs and s.outputs}
    if "serving_default" in found:
        return found["serving_default"]
    if not found:
        raise BadModel(
            f"{path} has no signature", hint="save it with signatures, or by model.export(...)"
        )
    return found[min(found)]


# -- variables -------------------------------------------------------------------------------------


def _variables(path: Path, meta: Any) -> Callable[[str], Item]:
    """What a variable's resource holds, by the name of its handle."""
    import tensorflow as tf

    prefix = str(path / "variables" / "variables")
    if not (path / "variables" / "variables.index").exists():
        reader, keys = None, {}
    else:
        try:
            reader = tf.train.load_checkpoint(prefix)
            keys = _checkpoint_keys(reader, meta)
        except Exception as problem:
            raise BadModel(f"the variables of {path} are damaged: {problem}") from problem
    read: dict[str, Item] = {}

    def variable(name: str) -> Item:
        if name not in read:
            read[name] = _load(path, reader, keys, name)
        return read[name]

    return variable


def _load(path: Path, reader: Any, keys: Mapping[str, str], name: str) -> Item:
    key = keys.get(name, name)
    if reader is None or not reader.has_tensor(key):
        raise BadModel(f"{path} does not say what variable {name} holds")
    try:
        return Const(normal(reader.get_tensor(key)))
    except Exception as problem:
        raise BadModel(f"variable {name} of {path} is damaged: {problem}") from problem


def _checkpoint_keys(reader: Any, meta: Any) -> dict[str, str]:
    """From the name of a handle to the key in the checkpoint.

    By the functions' captures and the object graph where there is one; else by full names; and the
    oldest checkpoints are keyed by the names themselves.
    """
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    keys: dict[str, str] = {}
    if not reader.has_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"):
        return keys
    saved = trackable_object_graph_pb2.TrackableObjectGraph()
    saved.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    for node in saved.nodes:
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE":
                keys.setdefault(attribute.full_name, attribute.checkpoint_key)
    keys.update(_captured(meta, _keys_by_object(meta.object_graph_def, saved)))
    return keys


def _keys_by_object(objects: Any, saved: Any) -> dict[int, str]:
    """The checkpoint key of each object of the SavedModel; both graphs are walked side by side."""
    keys: dict[int, str] = {}
    pairs, seen = [(0, 0)], set()
    while pairs and objects.nodes and saved.nodes:
        mine, theirs = pairs.pop()
        if mine in seen:
            continue
        seen.add(mine)
        for attribute in saved.nodes[theirs].attributes:
            if attribute.name == "VARIABLE_VALUE":
                keys[mine] = attribute.checkpoint_key
        children = {c.local_name: c.node_id for c in saved.nodes[theirs].children}
        for child in objects.nodes[mine].children:
            if child.local_name in children:
                pairs.append((child.node_id, children[child.local_name]))
    return keys


def _captured(meta: Any, keys: Mapping[int, str]) -> dict[str, str]:
    """The handles that are passed to functions, told by the objects those functions captured."""
    handles = {n.name: n for n in meta.graph_def.node if n.op == "VarHandleOp"}
    bound = meta.object_graph_def.concrete_functions
    found: dict[str, str] = {}
    for node in meta.graph_def.node:
        if "PartitionedCall" not in node.op or node.attr["f"].func.name not in bound:
            continue
        objects = bound[node.attr["f"].func.name].bound_inputs
        data = [ref.split(":")[0] for ref in node.input if not ref.startswith("^")]
        for ref, item in zip(data[len(data) - len(objects) :], objects, strict=True):
            if ref in handles and item in keys:
                name = handles[ref].attr["shared_name"].s.decode() or ref
                found[name] = keys[item]
    return found


def check_folder(path: Path) -> None:
    """Raise BadInput unless `path` is a SavedModel folder."""
    if not (path / "saved_model.pb").is_file():
        raise BadInput(f"{path} holds no saved_model.pb")
