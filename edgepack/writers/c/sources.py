"""The C sources of the kernels, cut into blocks, and what each block needs.

A source is `kernels/*.c`. A line `/*@ ep_name */` begins the block of that name. What a block is
follows from its text: a definition of a function that is not static goes to kernels.c and its
prototype to kernels.h; everything else (types, static inline functions, macros) goes to kernels.h.
A block needs every other block whose name occurs in it; nothing has to be declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from edgepack.errors import InternalError

_MARK: Final = re.compile(r"^/\*@ (\w+) \*/\n", re.MULTILINE)
_WORD: Final = re.compile(r"\bep_\w+")
_FUNCTION: Final = re.compile(r"^(?!static|typedef|#)\w[^;{}#]*\)\n\{", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a kernel source; `needs` are the names of the blocks that it mentions."""

    name: str
    text: str
    needs: tuple[str, ...]

    @property
    def prototype(self) -> str | None:
        """Comment and declaration of a function of kernels.c; None for what is in the header."""
        found = _FUNCTION.search(self.text)
        return None if found is None else self.text[: found.end() - 2] + ";\n"


@cache
def blocks() -> dict[str, Block]:
    """Every block by name, in the order in which they may stand in a file."""
    texts: dict[str, str] = {}
    folder = resources.files("edgepack.writers.c") / "kernels"
    for source in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not source.name.endswith(".c"):
            continue
        parts = _MARK.split(source.read_text(encoding="utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in texts:
                raise InternalError(f"there are two kernel blocks {name}")
            texts[name] = text.strip() + "\n"
    return {
        name: Block(name, text, tuple(w for w in dict.fromkeys(_WORD.findall(text)) if w in texts))
        for name, text in texts.items()
    }


def needed(names: Iterable[str]) -> list[Block]:
    """The blocks `names` and all that they need, each after what it needs."""
    table, chosen = blocks(), dict[str, Block]()
    stack = sorted(set(names))
    while stack:
        name = stack.pop()
        if name not in table:
            raise InternalError(f"there is no kernel {name}")
        if name not in chosen:
            chosen[name] = table[name]
            stack += table[name].needs
    return [block for name, block in table.items() if name in chosen]


def kernel_files(names: Iterable[str]) -> tuple[str, str]:
    """(declarations for kernels.h, definitions for kernels.c) of these kernels."""
    chosen = needed(names)
    header = [block.prototype or block.text for block in chosen]
    source = [block.text for block in chosen if block.prototype]
    return "\n".join(header), "\n".join(source)
