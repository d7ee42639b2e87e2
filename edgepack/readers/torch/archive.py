"""`.pt2` files before torch opens them: a copy that holds tensors and a graph, and no code.

torch.export.load evaluates expressions of the file, writes its names into Python source, calls what
it names as operators, imports modules, unpickles, and loads machine code. The copy has only entries
that torch.export.save writes for a program of tensors; its JSON is checked string by string and
written anew. So what was checked is what torch reads, however the original may be put together.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgepack.errors import BadModel
from edgepack.readers.torch.expressions import is_plain_expression

_HINT = (
    "save it with torch.export.save, tensors and PyTorch's own operators only, "
    "or pass --trust if you know where the file comes from"
)
_PROGRAM = re.compile(r"models/model\.json|serialized_exported_program\.json")
_CONFIG = re.compile(r"data/(weights|constants)/model_(weights|constants)_config\.json")
_TENSORS = re.compile(r"weight_\d+|tensor_\d+", re.ASCII)
_BINARY = re.compile(
    r"data/(weights|constants)/((weight|tensor)_\d+|model\.pt)|data/sample_inputs/model\.pt"
    r"|archive_format|archive_version|byteorder|version|\.data/version"
    r"|serialized_(state_dict|constants|example_inputs)\.(pt|json)",
    re.ASCII,
)
_LEFT_OUT = re.compile(r"\.data/serialization_id|(extra|extra_files)/.*|.*/")
# torch stores without compression; other tools pack JSON some twentyfold.
_LARGEST_RATIO = 100

_STRING = re.compile(r"[\w.+/-]*")  # nothing that calls, quotes, assigns or ends a line
_NAMES = frozenset({"name", "as_name", "forward_arg_names"})  # these become Python names
_FREE = frozenset({"as_string", "as_strings"})  # arguments of operators, always quoted
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)\.(?P<op>\w+)(\.(?P<overload>\w+))?"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond|while_loop"
    r"|scan|map_impl|associative_scan|invoke_subgraph)"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|truediv|mod|pow|and_|or_|getitem"
    r"|lshift|rshift)"
    r"|math\.(trunc|ceil|floor)|torch\.sym_(not|int|float|ite|max|min|sqrt)|torch\._sym_sqrt",
    re.ASCII,
)
_OF_FILES = frozenset({"from_file", "save", "load"})
_BITWISE = re.compile(r"__i?(and|or|xor|lshift|rshift)__")
_CONTAINERS = frozenset(
    {
        None,
        "builtins.tuple",
        "builtins.list",
        "builtins.dict",
        "collections.OrderedDict",
        "torch.fx.immutable_collections.immutable_list",
        "torch.fx.immutable_collections.immutable_dict",
    }
)


@contextlib.contextmanager
def checked_copy(path: str) -> Iterator[str]:
    """The path of a copy that is safe to load, there while the context lasts.

    Raises BadModel with the way to trust the file when it holds anything else than a program of
    tensors, and what zipfile and json raise when it is damaged.
    """
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as source:
        copy = str(Path(folder) / "model.pt2")
        entries = _entries(path, source)
        prefix = "" if "version" in entries else "model/"  # torch before 2.8 has no folder
        with zipfile.ZipFile(copy, "w") as target:
            for name, entry in entries.items():
                if _PROGRAM.fullmatch(name) or _CONFIG.fullmatch(name):
                    text = json.dumps(_cleaned(path, json.loads(source.read(entry)), ""))
                    target.writestr(prefix + name, text)
                    continue
                made = zipfile.ZipInfo(prefix + name)
                with source.open(entry) as data, target.open(made, "w", force_zip64=True) as out:
                    shutil.copyfileobj(data, out)
        yield copy


def _entries(path: str, source: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What the copy needs, by its name below the archive's folder."""
    infos = source.infolist()
    _refuse_bombs(path, infos)
    folders = {info.filename.partition("/")[0] for info in infos}
    nested = len(folders) == 1 and all("/" in info.filename for info in infos)
    names = [i.filename.partition("/")[2] if nested else i.filename for i in infos]
    if not any(map(_PROGRAM.fullmatch, names)):
        raise zipfile.BadZipFile("it has no program in it")
    found: dict[str, zipfile.ZipInfo] = {}
    for name, info in zip(names, infos, strict=True):
        if _LEFT_OUT.fullmatch(name) or not name:
            continue
        if not (_PROGRAM.fullmatch(name) or _CONFIG.fullmatch(name) or _BINARY.fullmatch(name)):
            raise _refused(path, f"holds {_short(name)}, which is no part of a program of tensors")
        if name in found:
            raise _refused(path, f"holds {_short(name)} twice")
        found[name] = info
    return found


def _refuse_bombs(path: str, infos: list[zipfile.ZipInfo]) -> None:
    size, unpacked = Path(path).stat().st_size, sum(info.file_size for info in infos)
    if unpacked > _LARGEST_RATIO * size:
        raise _refused(path, f"has {size} bytes and unpacks to {unpacked}")


def _cleaned(path: str, item: Any, key: str) -> Any:
    """A part of the JSON that is found below `key`, checked; without what only people read."""
    if isinstance(item, Mapping):
        return {
            _checked_key(path, inner, key): _member(path, inner, value)
            for inner, value in item.items()
        }
    if isinstance(item, list):
        return [_cleaned(path, part, key) for part in item]
    if isinstance(item, str) and key not in _FREE and not _is_plain(item, key):
        raise _refused(path, f"has {_short(item)} for {key or 'a value'}")
    return item


def _member(path: str, key: str, value: Any) -> Any:
    if key == "guards_code":  # Python source; the shapes are checked when they are set
        return []
    if key == "treespec_namedtuple_fields":
        return {}
    if key == "metadata":
        stack = value.get("nn_module_stack") if isinstance(value, Mapping) else None
        return {"nn_module_stack": stack} if isinstance(stack, str) else {}
    if key in ("in_spec", "out_spec") and isinstance(value, str):
        return json.dumps(_checked_tree(path, json.loads(value)))
    return _cleaned(path, value, key)


def _checked_key(path: str, name: str, parent: str) -> str:
    symbolic = parent == "range_constraints" and is_plain_expression(name)
    if not symbolic and not _is_plain(name, ""):
        raise _refused(path, f"has the name {_short(name)}")
    return name


def _is_plain(text: str, key: str) -> bool:
    if key == "expr_str":
        return is_plain_expression(text)
    if key in ("target", "as_operator"):
        return _is_operator(text)
    if key == "path_name":
        return bool(_TENSORS.fullmatch(text))
    if key in _NAMES:
        return not text or text.isidentifier()
    return bool(_STRING.fullmatch(text)) and not any(map(_is_special, text.split(".")))


def _is_operator(text: str) -> bool:
    match = _OPERATORS.fullmatch(text)
    if match is None:
        return False
    op, overload = match["op"] or "", match["overload"] or ""
    bitwise = bool(_BITWISE.fullmatch(op))
    return op not in _OF_FILES and (bitwise or not _is_special(op)) and not _is_special(overload)


def _is_special(name: str) -> bool:
    return name.startswith("__")


def _checked_tree(path: str, spec: Any) -> Any:
    """How inputs or outputs nest: torch imports what other containers name."""
    protocol, tree = spec
    todo = [tree]
    while todo:
        part = todo.pop()
        if part["type"] not in _CONTAINERS:
            raise _refused(path, f"nests values in a {_short(str(part['type']))}")
        context = part["context"]
        keys = json.loads(context) if isinstance(context, str) else context
        for name in keys if isinstance(keys, list) else [keys]:
            if not (name is None or isinstance(name, int) or _is_named(name)):
                raise _refused(path, f"nests values under {_short(str(name))}")
        todo += part["children_spec"]
    return [protocol, tree]


def _is_named(name: object) -> bool:
    return isinstance(name, str) and _is_plain(name, "")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _refused(path: str, reason: str) -> BadModel:
    return BadModel(f"{path} {reason}; loading it may run code", hint=_HINT)
