"""What surrounds the C sources: CMake, make, Arduino, Zephyr, and an example.

The folder is a library in each of these forms as it is: only C sources that lie directly in it are
compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final

from edgepack.ir import Graph, Value
from edgepack.writers.c.ctext import comment

# Place in the project: template in project/.
_PLACES: Final = {
    "CMakeLists.txt": "CMakeLists.txt",
    "Makefile": "Makefile",
    "library.properties": "library.properties",
    "zephyr/module.yml": "module.yml",
    "zephyr/CMakeLists.txt": "zephyr.cmake",
    "zephyr/Kconfig": "Kconfig",
    "example/main.c": "main.c",
    "examples/{prefix}_run/{prefix}_run.ino": "sketch.ino",
}


def build_files(graph: Graph, prefix: str, sources: Sequence[str]) -> dict[str, str]:
    """The files around `sources`, by their names."""
    folder = resources.files("edgepack.writers.c") / "project"
    words = _words(graph, prefix, sorted(sources))
    return {
        place.format(prefix=prefix): _filled((folder / name).read_text(encoding="utf-8"), words)
        for place, name in _PLACES.items()
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _words(graph: Graph, prefix: str, sources: Sequence[str]) -> dict[str, str]:
    upper = prefix.upper()
    above = "${CMAKE_CURRENT_SOURCE_DIR}/.."
    return {
        "prefix": prefix,
        "UPPER": upper,
        "sources": " ".join(sources),
        "objects": " ".join(name.replace(".c", ".o") for name in sources),
        "zephyr_sources": " ".join(f"{above}/{name}" for name in sources),
        "summary": comment(f"{_named(graph.inputs)} to {_named(graph.outputs)}", 200),
        "input_bytes": _sizes(f"{upper}_INPUT", len(graph.inputs)),
        "output_bytes": _sizes(f"{upper}_OUTPUT", len(graph.outputs)),
    }


def _named(values: Sequence[Value]) -> str:
    return ", ".join(f"{v.dtype}{list(v.shape)}" for v in values)


def _sizes(stem: str, count: int) -> str:
    return ", ".join(f"{stem}{index}_BYTES" for index in range(count)) or "0"
