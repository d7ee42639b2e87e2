"""PyTorch models: modules, exported programs and `.pt2` files, to IR."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput, BadModel, Unsupported
from edgepack.ir import Graph
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import Dim, asked_shapes, input_shapes
from edgepack.readers.torch.archive import checked_copy
from edgepack.readers.torch.capture import (
    export,
    first_line,
    flatten,
    only_weights,
    quiet_torch,
    recorded,
)
from edgepack.readers.torch.translate import translate


def read_torch(
    model: Any, options: ReadOptions | None = None, example_inputs: Sequence[Any] | None = None
) -> Graph:
    """The IR of a PyTorch model, NCHW where it is.

    `model` is an nn.Module, an ExportedProgram, or the path of a `.pt2` file. A module needs
    `example_inputs` (tensors or arrays), or float32 shapes in `options.input_shapes`, or an
    attribute `example_inputs`; `options.weights` is loaded into it. Shapes become static: symbolic
    ones are those of `options`, or 1 for the batch.

    Raises BadModel for what is damaged or cannot be traced, Unsupported with every operator that
    has no equivalent, MissingDependency without torch.
    """
    options = options or ReadOptions()
    with quiet_torch():
        if isinstance(model, str | Path):
            return _read_path(str(model), options, example_inputs)
        return _read_object(model, options, example_inputs, "model")


def _read_path(path: str, options: ReadOptions, example_inputs: Sequence[Any] | None) -> Graph:
    graph = _read_object(_load_pt2(path, options.trust), options, example_inputs, Path(path).stem)
    graph.source.path, graph.source.format, graph.source.sha256 = path, "pt2", _digest(path)
    return graph


def _digest(path: str) -> str:
    file = Path(path)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _read_object(
    model: Any, options: ReadOptions, example_inputs: Sequence[Any] | None, name: str
) -> Graph:
    import torch

    if isinstance(model, torch.nn.Module):
        if options.weights is not None:
            load_weights(model, options.weights, options.trust)
        graph = _module_graph(model, _arguments(model, options, example_inputs), name)
    elif isinstance(model, torch.export.ExportedProgram):
        graph = translate(flatten(_static(model, options)), name)
    else:
        raise BadModel(
            f"a {type(model).__name__} is no PyTorch model",
            hint="a factory returns an nn.Module (or a Keras model)",
        )
    graph.source.format = "torch"
    return graph


def _module_graph(module: Any, arguments: tuple[Any, ...], name: str) -> Graph:
    """From a recorded run; whatever that leaves unclear or unsupported is exported instead."""
    names = [p.name for p in _parameters(module)][: len(arguments)]
    if len(names) < len(arguments):
        return translate(flatten(export(module, arguments)), name)
    captured = recorded(module, arguments, names)
    if captured is not None:
        with contextlib.suppress(Unsupported):
            return translate(captured, name)
    try:
        return translate(flatten(export(module, arguments)), name)
    except BadModel:
        captured = recorded(module, arguments, names, in_pieces=True)
        if captured is None:
            raise
    return translate(captured, name)


# -- files -----------------------------------------------------------------------------------------


def _load_pt2(path: str, trust: bool) -> Any:
    import torch

    if not Path(path).is_file():
        raise BadInput(f"there is no file {path}")
    try:
        with only_weights(trust), _loadable(path, trust) as file:
            return torch.export.load(file)
    except BadModel:
        raise
    except Exception as problem:
        if _needs_code(problem):
            raise _untrusted(path) from problem
        raise BadModel(
            f"{path} is no readable torch.export archive: {first_line(problem)}",
            hint="torch.export.save writes one; a state dict goes with file.py:factory --weights",
        ) from problem


def _loadable(path: str, trust: bool) -> contextlib.AbstractContextManager[str]:
    return contextlib.nullcontext(path) if trust else checked_copy(path)


def _needs_code(problem: BaseException) -> bool:
    chain: BaseException | None = problem
    while chain is not None:
        if isinstance(chain, pickle.UnpicklingError):
            return "weights_only" in str(chain) or "Unsupported" in str(chain)
        chain = chain.__cause__ or chain.__context__
    return False


def _untrusted(path: str) -> BadModel:
    return BadModel(
        f"{path} holds Python objects whose loading runs code",
        hint="save the state dict alone, or pass --trust if you know where the file comes from",
    )


def load_weights(module: Any, path: str, trust: bool = False) -> None:
    """Load a state dict into a module; the prefix `module.` of DataParallel is dropped.

    A checkpoint may hold it under `state_dict` or `model`. Raises BadModel when names or shapes do
    not agree, or when the file needs code and `trust` is off.
    """
    state = _state_dict(path, trust)
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    given = {key.removeprefix("module."): value for key, value in state.items()}
    _check_keys(path, wanted, given)
    module.load_state_dict(given, strict=False)


def _state_dict(path: str, trust: bool) -> Mapping[str, Any]:
    import torch

    if not Path(path).is_file():
        raise BadInput(f"there is no file {path}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as problem:
        if _needs_code(problem):
            raise _untrusted(path) from problem
        raise BadModel(f"{path} is no readable state dict: {first_line(problem)}") from problem
    if trust and isinstance(found, torch.nn.Module):
        found = found.state_dict()
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(hasattr(v, "shape") for v in found.values()):
        raise BadModel(f"{path} holds a {type(found).__name__}, not a state dict")
    return found


_NAMED_AT_ONCE = 5


def _check_keys(path: str, wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Any]) -> None:
    optional = [key for key in wanted if key.endswith("num_batches_tracked")]
    missing = [key for key in wanted if key not in given and key not in optional]
    unexpected = [key for key in given if key not in wanted]
    differing = [
        f"{key} {list(given[key].shape)} for {list(shape)}"
        for key, shape in wanted.items()
        if key in given and tuple(given[key].shape) != shape
    ]
    kinds = (
        ("lacks", missing),
        ("has unknown", unexpected),
        ("has the wrong shape for", differing),
    )
    parts = [f"{verb} {_some(names)}" for verb, names in kinds if names]
    if parts:
        raise BadModel(
            f"{path} does not suit the model: it " + "; it ".join(parts),
            hint="is this the state dict of the model that the factory makes?",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_AT_ONCE
    return ", ".join(names[:_NAMED_AT_ONCE]) + (f" and {more} more" if more > 0 else "")


# -- inputs ----------------------------------------------------------------------------------------


def _arguments(
    module: Any, options: ReadOptions, example_inputs: Sequence[Any] | None
) -> tuple[Any, ...]:
    import torch

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if example_inputs is None and not options.input_shapes:
        example_inputs = getattr(module, "example_inputs", None)
    if example_inputs is not None:
        single = hasattr(example_inputs, "shape")
        given = (example_inputs,) if single else tuple(example_inputs)
        return tuple(torch.as_tensor(item).to(device) for item in given)
    names = [p.name for p in _parameters(module)]
    return tuple(torch.zeros(shape, device=device) for shape in _shapes(options, names))


def _parameters(module: Any) -> list[inspect.Parameter]:
    return [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _shapes(options: ReadOptions, names: Sequence[str]) -> list[tuple[int, ...]]:
    """The shapes in the order of the forward function's parameters."""
    if not options.input_shapes:
        raise BadInput(
            "a PyTorch module does not say what shape its input has",
            hint="--input-shape 1,3,224,224",
        )
    first_alone = set(options.input_shapes) == {""}  # the others may have defaults
    given = asked_shapes(names[:1] if first_alone else names, options)
    used = names[: 1 + max(names.index(name) for name in given)]
    lacking = [name for name in used if name not in given]
    if lacking:
        raise BadInput(f"the shape of input {', '.join(lacking)} is missing")
    return [given[name] for name in used]


def _static(program: Any, options: ReadOptions) -> Any:
    """The program with static shapes: exported again where some are symbolic or to be replaced."""
    values = _input_values(program)
    declared = {name: [_dim(d) for d in value.shape] for name, value in values.items()}
    wanted = input_shapes(declared, options)
    if all(tuple(values[name].shape) == shape for name, shape in wanted.items()):
        return program
    import torch

    arguments = tuple(torch.zeros(wanted[n], dtype=v.dtype) for n, v in values.items())
    try:
        module = program.module()
    except Exception as problem:
        raise BadModel(f"the program cannot be run: {first_line(problem)}") from problem
    return _export_again(module, arguments)


def _export_again(module: Any, arguments: tuple[Any, ...]) -> Any:
    import torch

    try:
        with torch.no_grad():
            return torch.export.export(module, arguments, strict=False)
    except Exception as problem:
        shapes = ", ".join(str(tuple(a.shape)) for a in arguments)
        raise BadModel(
            f"the program does not take inputs of shape {shapes}: {first_line(problem)}",
            hint="--input-shape sets them",
        ) from problem


def _input_values(program: Any) -> dict[str, Any]:
    names = {s.arg.name for s in program.graph_signature.input_specs if s.kind.name == "USER_INPUT"}
    nodes = (n for n in program.graph.nodes if n.op == "placeholder" and n.name in names)
    return {n.name: n.meta["val"] for n in nodes if hasattr(n.meta.get("val"), "shape")}


def _dim(size: Any) -> Dim:
    return size if isinstance(size, int) else str(size)
