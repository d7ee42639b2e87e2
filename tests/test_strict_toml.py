"""Where data files are found, and how strictly tables are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack import strict_toml
from edgepack.errors import BadTarget
from edgepack.strict_toml import Table, data_folder, near


def test_data_comes_from_the_wheel_first_then_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "edgepack"
    package.mkdir()
    monkeypatch.setattr(strict_toml, "PACKAGE_FOLDER", package)
    assert data_folder("targets") == tmp_path / "targets"
    (package / "_targets").mkdir()
    assert data_folder("targets") == package / "_targets"


def table(**values: object) -> Table:
    return Table(values, where="file.toml", error=BadTarget, prefix="outer.")


WRONG: dict[str, tuple[object, Callable[[Table], object]]] = {
    "text": (1, lambda t: t.text("key")),
    "empty text": ("", lambda t: t.text("key")),
    "integer": (1.5, lambda t: t.integer("key")),
    "integer from a flag": (True, lambda t: t.integer("key")),
    "integer too small": (3, lambda t: t.integer("key", at_least=4)),
    "number": ("1", lambda t: t.number("key")),
    "flag": (1, lambda t: t.flag("key", False)),
    "texts": ("abc", lambda t: t.texts("key")),
    "texts with a number": (["a", 1], lambda t: t.texts("key")),
    "texts twice": (["a", "a"], lambda t: t.texts("key")),
    "texts of others": (["a"], lambda t: t.texts("key", one_of=("b",))),
    "numbers": ([1, "a"], lambda t: t.numbers("key", (0.0,))),
    "no numbers": ([], lambda t: t.numbers("key", (0.0,))),
    "table": ([1], lambda t: t.table("key")),
    "tables": ({"a": 1}, lambda t: t.tables("key")),
    "tables of numbers": ([1], lambda t: t.tables("key")),
}


@pytest.mark.parametrize(("value", "read"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_named(value: object, read: Callable[[Table], object]) -> None:
    with pytest.raises(BadTarget, match=r"outer\.key: expected") as caught:
        read(table(key=value))
    assert caught.value.at == "file.toml"


def test_absent_keys() -> None:
    assert table().text("key", "x") == "x"
    with pytest.raises(BadTarget, match=r"outer\.key: expected a value, found nothing"):
        table().text("key")


def test_finish_refuses_what_was_not_asked_for() -> None:
    read = table(name="a", nmae="b")
    read.text("name")
    with pytest.raises(BadTarget, match=r"outer\.nmae: no such field") as caught:
        read.finish()
    assert caught.value.hint == "did you mean name?"


def test_near_lists_all_when_nothing_is_close() -> None:
    assert near("zzz", ("b", "a")) == "known: a, b"
