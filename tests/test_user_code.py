"""Functions of the user's own: found, run with what lies beside them, and no trace left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgepack.data import InputSpec, load_samples
from edgepack.errors import BadData, BadInput, BadModel
from edgepack.readers.factory import call_factory
from edgepack.user_code import load_function

BESIDE = """
def samples():
    import {name}
    for _ in range(2):
        import {name}_later
        yield {name}_later.VALUE
"""
DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass, field

@dataclass
class Settings:
    sizes: list[int] = field(default_factory=list)

def samples():
    return [Settings([1, 2]).sizes]
"""


@pytest.fixture(autouse=True)
def no_trace():
    """The import path is the same afterwards, whatever happens."""
    before = list(sys.path)
    yield
    assert sys.path == before


def script(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_modules_beside_the_file_can_be_imported_at_any_time(tmp_path):
    script(tmp_path, "", "beside_a_file.py")
    script(tmp_path, "VALUE = 3", "beside_a_file_later.py")
    path = script(tmp_path, BESIDE.format(name="beside_a_file"))
    function = load_function(f"{path}:samples", BadInput)
    seen = []
    for item in function.items():
        assert str(tmp_path) not in sys.path
        seen.append(item)
    assert seen == [3, 3]


def test_modules_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    script(tmp_path, "def samples():\n    return [1]", "of_the_current_folder.py")
    assert list(load_function("of_the_current_folder:samples", BadInput).items()) == [1]
    assert str(tmp_path) not in sys.path


def test_dataclasses_with_postponed_annotations(tmp_path):
    path = script(tmp_path, DATACLASS)
    assert load_function(f"{path}:samples", BadInput)() == [[1, 2]]


def test_files_of_one_name_are_two_modules(tmp_path):
    functions = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = script(tmp_path / name, f"def f():\n    return {name!r}, __name__")
        functions.append(load_function(f"{path}:f", BadInput))
    (one, first), (two, second) = (function() for function in functions)
    assert (one, two) == ("one", "two")
    assert first != second


@pytest.mark.parametrize("error", [BadData, BadModel])
@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("import sys; sys.exit(3)", "f", r"mine\.py cannot be imported: SystemExit: 3"),
        ("1 / 0", "f", "cannot be imported: ZeroDivisionError"),
        ("def", "f", "cannot be imported: SyntaxError"),
        ("def g(): pass", "f", "no callable called f\n.*it has g"),
        ("f = 1", "f", "no callable called f\n.*it has none"),
    ],
)
def test_what_cannot_be_loaded(text, name, words, error, tmp_path):
    path = script(tmp_path, text)
    with pytest.raises(error, match=words):
        load_function(f"{path}:{name}", error)


def test_a_module_that_failed_is_not_kept(tmp_path):
    path = script(tmp_path, "1 / 0", "it_failed.py")
    with pytest.raises(BadData):
        load_function(f"{path}:f", BadData)
    assert not [module for module in sys.modules if "it_failed" in module]


@pytest.mark.parametrize("place", ["nowhere.py", "no_such_package_at_all.module"])
def test_what_is_not_there(place):
    with pytest.raises(BadData, match=place.partition(".")[0]):
        load_function(f"{place}:f", BadData)


def test_leaving_python_is_bad_data(tmp_path):
    path = script(tmp_path, "import sys\ndef f():\n    yield [1.0]\n    sys.exit(4)")
    with pytest.raises(BadData, match="raised SystemExit: 4"):
        load_samples(f"{path}:f", [InputSpec("x", (1, 1))])


def test_leaving_python_is_a_bad_model(tmp_path):
    path = script(tmp_path, "import sys\ndef f():\n    sys.exit(4)")
    with pytest.raises(BadModel, match=r"f\(\) failed: SystemExit: 4"):
        call_factory(f"{path}:f")
