"""`.pt2` files that would run code: refused before torch sees them. Good ones load as ever."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepack.errors import BadModel  # noqa: E402
from edgepack.readers.options import ReadOptions  # noqa: E402
from edgepack.readers.torch import read_torch  # noqa: E402
from edgepack.readers.torch.archive import checked_copy  # noqa: E402
from edgepack.readers.torch.expressions import is_plain_expression  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402

Entries = dict[str, bytes]
Program = dict[str, Any]


class Network(torch.nn.Module):
    """Symbolic in all but the channels, with a constant and a part without gradients."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x):
        y = torch.nn.functional.max_pool2d(self.conv(x) + torch.tensor(2.0), 2)
        with torch.no_grad():
            y = y * 2
        return torch.cat([y, y], 1).reshape(x.shape[0], -1).relu()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The file, and the module in it."""
    torch.manual_seed(0)
    model, path = Network().eval(), tmp_path_factory.mktemp("pt2") / "good.pt2"
    dim = torch.export.Dim
    shapes = {"x": {0: dim("b", min=1, max=8), 2: 2 * dim("h", min=8, max=32), 3: dim.AUTO}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (torch.zeros(2, 3, 32, 48),), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={"notes.txt": "os.system('ls')"})
    return path, model


def entries(path: Path) -> Entries:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: Entries) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def named(content: Entries, end: str) -> str:
    return next(name for name in content if name.endswith(end))


@pytest.mark.parametrize("trust", [False, True])
def test_good_files_load(good, trust):
    path, model = good
    options = ReadOptions({"": (1, 3, 40, 24)}, trust=trust)
    graph = read_torch(path, options)
    x = np.random.default_rng(0).standard_normal((1, 3, 40, 24)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ReferenceRuntime(graph).run([x])[0], expected, rtol=1e-4, atol=1e-5)
    assert any(node.name.startswith("conv") for node in graph.nodes)


def test_the_expressions_of_the_file_are_symbolic(good):
    content = entries(good[0])
    text = content[named(content, "models/model.json")].decode()
    assert "FloorDiv(" in text
    assert "Symbol(" in text


# -- malicious JSON --------------------------------------------------------------------------------

CODE = "__import__('pathlib').Path({mark!r}).touch()"


def every(item: Any, key: str, value: str) -> None:
    """Give every entry called `key` that value."""
    if isinstance(item, dict):
        for inner in item:
            if inner == key and isinstance(item[inner], str):
                item[inner] = value
            every(item[inner], key, value)
    elif isinstance(item, list):
        for part in item:
            every(part, key, value)


def expression(program: Program, code: str) -> None:
    every(program, "expr_str", code)


def symbol(program: Program, code: str) -> None:
    every(program, "expr_str", f"Symbol(str({code}))")


def placeholder(program: Program, code: str) -> None:
    graph = program["graph_module"]["graph"]
    name = graph["inputs"][-1]["as_tensor"]["name"]
    text = json.dumps(graph).replace(f'"{name}"', json.dumps(f"{name}={code}"))
    program["graph_module"]["graph"] = json.loads(text)


def argument(program: Program, code: str) -> None:
    calls = program["graph_module"]["module_call_graph"]
    calls[0]["signature"]["forward_arg_names"] = [f"x={code}"]


def operator(program: Program, code: str) -> None:
    node = program["graph_module"]["graph"]["nodes"][0]
    node["target"] = "torch.os.mkdir"
    mark = code.split("'")[3]
    node["inputs"] = [{"name": "", "arg": {"as_string": mark}, "kind": 1}]


def weight_name(program: Program, code: str) -> None:
    inputs = program["graph_module"]["signature"]["input_specs"]
    inputs[0]["parameter"]["parameter_name"] = f'conv"), {code}, ("'


def tree(program: Program, code: str) -> None:
    calls = program["graph_module"]["module_call_graph"]
    context = {"default_factory_module": "this", "default_factory_name": "s", "dict_context": []}
    spec = [1, {"type": "collections.defaultdict", "context": context, "children_spec": []}]
    calls[0]["signature"]["out_spec"] = json.dumps(spec)


def tree_key(program: Program, code: str) -> None:
    calls = program["graph_module"]["module_call_graph"]
    leaf = {"type": None, "context": None, "children_spec": []}
    spec = {"type": "builtins.dict", "context": json.dumps([code]), "children_spec": [leaf]}
    calls[0]["signature"]["out_spec"] = json.dumps([1, spec])


def enum_key(program: Program, code: str) -> None:
    calls = program["graph_module"]["module_call_graph"]
    context = json.dumps([{"__enum__": True, "fqn": "this:s", "name": "s"}])
    spec = {"type": "builtins.dict", "context": context, "children_spec": []}
    calls[0]["signature"]["out_spec"] = json.dumps([1, spec])


PROGRAMS: dict[str, Callable[[Program, str], None]] = {
    "an expression": expression,
    "the name of a symbol": symbol,
    "the name of an input": placeholder,
    "the name of an argument": argument,
    "an operator": operator,
    "the name of a weight": weight_name,
    "a container that imports": tree,
    "a key": tree_key,
    "a key that imports": enum_key,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_code_in_the_program_is_refused(name, good, tmp_path):
    content = entries(good[0])
    model = named(content, "models/model.json")
    program, mark = json.loads(content[model]), tmp_path / "mark"
    PROGRAMS[name](program, CODE.format(mark=str(mark)))
    content[model] = json.dumps(program).encode()
    bad = write(tmp_path / "bad.pt2", content)
    with pytest.raises(BadModel, match=r"may run code(\n.*)*--trust"):
        read_torch(bad, ReadOptions({"": (1, 3, 32, 48)}))
    assert not mark.exists()


def test_guards_are_source_and_left_out(good, tmp_path):
    content, mark = entries(good[0]), tmp_path / "mark"
    model = named(content, "models/model.json")
    program = json.loads(content[model])
    program["guards_code"] = [CODE.format(mark=str(mark))]
    content[model] = json.dumps(program).encode()
    read_torch(write(tmp_path / "bad.pt2", content), ReadOptions({"": (1, 3, 32, 48)}))
    assert not mark.exists()


def test_the_attack_works_on_torch_itself(good, tmp_path):
    """Else the tests above would show nothing."""
    content, mark = entries(good[0]), tmp_path / "mark"
    model = named(content, "models/model.json")
    program = json.loads(content[model])
    expression(program, CODE.format(mark=str(mark)))
    content[model] = json.dumps(program).encode()
    bad = write(tmp_path / "bad.pt2", content)
    with pytest.raises(BadModel):
        read_torch(bad, ReadOptions(trust=True))
    assert mark.exists()


# -- malicious archives ----------------------------------------------------------------------------


class Touch:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def pickled_constant(content: Entries, mark: Path) -> None:
    config = named(content, "model_constants_config.json")
    inner = json.loads(content[config])
    next(iter(inner["config"].values()))["path_name"] = "opaque_obj_0"
    content[config] = json.dumps(inner).encode()
    folder = config.rpartition("/")[0]
    content[f"{folder}/opaque_obj_0"] = pickle.dumps(Touch(mark))


def pickle_under_another_name(content: Entries, mark: Path) -> None:
    config = named(content, "model_constants_config.json")
    inner = json.loads(content[config])
    next(iter(inner["config"].values()))["path_name"] = "opaque_obj_0/../tensor_0"
    content[config] = json.dumps(inner).encode()


def machine_code(content: Entries, mark: Path) -> None:
    root = next(iter(content)).partition("/")[0]
    content[f"{root}/data/aotinductor/model/model.so"] = b"\x7fELF"


def bomb(content: Entries, mark: Path) -> None:
    content[named(content, "models/model.json")] = b" " * 20_000_000


ARCHIVES: dict[str, tuple[Callable[[Entries, Path], None], str]] = {
    "a pickled constant": (pickled_constant, "opaque_obj_0"),
    "a pickle under another name": (pickle_under_another_name, "opaque_obj_0"),
    "machine code": (machine_code, "data/aotinductor/model/model.so"),
    "a bomb": (bomb, "unpacks to 20"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_with_more_than_tensors_are_refused(name, good, tmp_path):
    content, (change, word) = entries(good[0]), ARCHIVES[name]
    change(content, tmp_path / "mark")
    bad = write(tmp_path / "bad.pt2", content)
    with pytest.raises(BadModel, match=word) as caught:
        read_torch(bad, ReadOptions({"": (1, 3, 32, 48)}))
    assert "--trust" in str(caught.value)
    assert not (tmp_path / "mark").exists()


def test_repeated_entries_are_refused(good, tmp_path):
    bad = write(tmp_path / "bad.pt2", entries(good[0]))
    with warnings.catch_warnings(), zipfile.ZipFile(bad, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(named(entries(good[0]), "models/model.json"), b"{}")
    with pytest.raises(BadModel, match="twice"), checked_copy(str(bad)):
        pass


def test_archives_of_earlier_versions(tmp_path):
    """Without a folder, as torch wrote them before 2.8."""
    content = {
        "version": b"8.8",
        "serialized_exported_program.json": b'{"expr_str": "2*s0", "guards_code": ["code()"]}',
        "serialized_state_dict.pt": b"state",
    }
    old = write(tmp_path / "old.pt2", content)
    with checked_copy(str(old)) as copy:
        found = entries(Path(copy))
    assert found.keys() == content.keys()
    program = json.loads(found["serialized_exported_program.json"])
    assert program == {"expr_str": "2*s0", "guards_code": []}


# -- expressions -----------------------------------------------------------------------------------

PLAIN = [
    "s0",
    "2*s0 + 1",
    "((s0 - 1)//2) + 1",
    "s0**2",
    "Symbol('s77', positive=True, integer=True)",
    "Add(FloorDiv(Add(Symbol('s0', positive=True, integer=True), Integer(-1)), Integer(2)), 1)",
    "Pow(Symbol('u0', integer=True), Integer(-1))",
    "Float('2.5', precision=53)",
    "Equality(Mod(s0, Integer(4)), Integer(0))",
    "s0 <= 8",
]
NOT_PLAIN = [
    "",
    "x y",
    "__import__('os')",
    "s0.__class__",
    "s0[0]",
    "(lambda: 1)()",
    "Symbol('s0').func",
    "Symbol('a b')",
    "Symbol('__import__')",
    "Symbol(s0, 'x')",
    "sympify('1')",
    "Add('1 + 1')",
    "'text'",
    "[s0]",
    "{s0}",
    "f'{s0}'",
    "Add(*s0)",
    "Add(**s0)",
    "s0 if s0 else 1",
    "(s0 := 1)",
    "9**9**9**9",
    "((9**99)**99)**99",
    "Pow(Pow(Pow(9, 999), 999), 999)",
    "s0**s0",
    "1 << 99",
    "10**400000",
    "Float('2.5', precision=10000000)",
    "9" * 30,
    "(" * 5000 + "s0" + ")" * 5000,
    "-" * 15000 + "1",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_expressions(text):
    assert is_plain_expression(text)


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_expressions_that_do_more(text):
    assert not is_plain_expression(text)
