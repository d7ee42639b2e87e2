"""Reads TOML data files strictly: every key has a type, and a key nobody asked for is an error.

Target profiles, runtimes and preprocessing specs are data that users write too, so that a mistake
in one must come back as the field's dotted name, what was found and what is expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

from edgepack.errors import BadInput

PACKAGE_FOLDER = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder of data files `name`: `edgepack/_name` in a wheel, `name` beside a checkout's."""
    packaged = PACKAGE_FOLDER / f"_{name}"
    return packaged if packaged.is_dir() else PACKAGE_FOLDER.parent / name


def near(word: str, known: Collection[str]) -> str:
    """A hint that names the members of `known` closest to `word`, or all of them when none is."""
    close = difflib.get_close_matches(word.lower(), sorted(known), n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(known))}"


def read_toml(path: Path, error: type[BadInput]) -> Table:
    """The table a TOML file holds. Raises `error` when it cannot be read or parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as failure:
        raise error(f"cannot read {path}: {failure.strerror}") from None
    except UnicodeDecodeError:
        raise error(f"{path} is not a text file", hint="expected TOML in UTF-8") from None
    try:
        return Table(tomllib.loads(text), where=str(path), error=error)
    except tomllib.TOMLDecodeError as failure:
        raise error(f"{path} is not valid TOML: {failure}") from None


class Table:
    """One TOML table, read key by key; `finish` refuses the keys that were not asked for.

    Each reader returns the key's value, or `default` when the key is absent; without a default an
    absent key raises the `error` class, as does a value of the wrong type.
    """

    def __init__(
        self, values: dict[str, object], *, where: str, error: type[BadInput], prefix: str = ""
    ) -> None:
        self._values = values
        self._where = where
        self._error = error
        self._prefix = prefix
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        """Yield the table's keys, in the file's order."""
        return iter(self._values)

    def raw(self, key: str) -> object:
        """The key's value as parsed, for keys that take more than one type."""
        return self._values.get(key)

    def wrong(
        self, key: str, expected: str, hint: str | None = None, *, found: str | None = None
    ) -> BadInput:
        """The error for a key whose value is not what is `expected`; `found` is said of tables."""
        if found is None:
            found = _shown(self._values[key]) if key in self._values else "nothing"
        return self._error(
            f"{self._prefix}{key}: expected {expected}, found {found}", at=self._where, hint=hint
        )

    def text(
        self, key: str, default: str | None = None, *, one_of: Collection[str] | None = None
    ) -> str:
        """A non-empty string, from `one_of` when that is given."""
        value = self._get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.wrong(key, "a string")
        if one_of is not None and value not in one_of:
            raise self.wrong(key, f"one of {', '.join(sorted(one_of))}", near(value, one_of))
        return value

    def integer(self, key: str, default: int | None = None, *, at_least: int = 0) -> int:
        """A whole number of at least `at_least`."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise self.wrong(key, f"a whole number of at least {at_least}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(key, "a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def texts(
        self,
        key: str,
        default: tuple[str, ...] | None = None,
        *,
        one_of: Collection[str] | None = None,
    ) -> tuple[str, ...]:
        """An array of distinct strings, each from `one_of` when that is given."""
        value = self._get(key, default)
        if isinstance(value, tuple):
            return value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "an array of strings")
        items: tuple[str, ...] = tuple(value)
        for item in items:
            if one_of is not None and item not in one_of:
                expected = f"strings from {', '.join(sorted(one_of))}"
                raise self.wrong(key, expected, near(item, one_of))
        if len(set(items)) != len(items):
            raise self.wrong(key, "strings that differ from each other")
        return items

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """A number (giving one element) or a non-empty array of numbers."""
        value = self._get(key, default)
        if isinstance(value, tuple):
            return value
        items = value if isinstance(value, list) else [value]
        floats = [float(item) for item in items if type(item) is int or type(item) is float]
        if not floats or len(floats) != len(items):
            raise self.wrong(key, "a number or an array of numbers")
        return tuple(floats)

    def table(self, key: str) -> Table:
        """A sub-table; an absent one reads as empty."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return self._inner(value, f"{key}.")

    def tables(self, key: str, *, at_least: int = 0) -> tuple[Table, ...]:
        """An array of tables with at least `at_least` members."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "an array of tables")
        if len(value) < at_least:
            raise self.wrong(key, f"at least {at_least} [[{self._prefix}{key}]]")
        return tuple(self._inner(item, f"{key}[{index}].") for index, item in enumerate(value))

    def only(self, record: type) -> None:
        """Raise the error class for keys that are no fields of the dataclass `record`.

        Called first, so that a misspelt field is not reported as a missing one.
        """
        self._refuse_others({field.name for field in dataclasses.fields(record)})

    def finish(self) -> None:
        """Raise the error class for keys that were never asked for."""
        self._refuse_others(self._asked)

    def _refuse_others(self, known: Collection[str]) -> None:
        for key in self._values:
            if key not in known:
                name = f"{self._prefix}{key}"
                raise self._error(f"{name}: no such field", at=self._where, hint=near(key, known))

    def _get(self, key: str, default: object) -> object:
        self._asked.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise self.wrong(key, "a value")
        return value

    def _inner(self, values: dict[str, object], prefix: str) -> Table:
        return Table(values, where=self._where, error=self._error, prefix=self._prefix + prefix)


def _shown(value: object) -> str:
    """The value as found, but for tables, which may be long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "an array of tables"
    return repr(value)
