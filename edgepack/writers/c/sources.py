"""The C sources of the kernels, cut into blocks, and what each block needs.

A source is `kernels/*.c`, or `kernels/FOLDER/*.c` whose blocks take the place of those with their
names in the variants that have this folder. A line `/*@ ep_name */` begins the block of that name.
`/*@ ep_name_s8, s16 */` also gives ep_name_s16, with int16_t for int8_t. What a block is follows
from its text: a definition of a function that is not static goes to kernels.c and its prototype to
kernels.h; everything else (types, static inline functions, macros) goes to kernels.h. A block
needs every other block whose name occurs in it, comments aside; nothing is declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from edgepack.errors import InternalError
from edgepack.writers.c.variants import VARIANTS

_MARK: Final = re.compile(r"^/\*@ (\w+(?:, \w+)*) \*/\n", re.MULTILINE)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
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
def blocks(variant: str) -> dict[str, Block]:
    """Every block by name, as `variant` has it."""
    folder = resources.files("edgepack.writers.c") / "kernels"
    texts = _texts(folder)
    for overlay in VARIANTS[variant]:
        if (folder / overlay).is_dir():
            texts |= _texts(folder / overlay)
    return {name: Block(name, text, _mentioned(name, text, texts)) for name, text in texts.items()}


def _texts(folder: Traversable) -> dict[str, str]:
    texts: dict[str, str] = {}
    for source in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not source.name.endswith(".c"):
            continue
        parts = _MARK.split(source.read_text(encoding="utf-8"))
        for mark, text in zip(parts[1::2], parts[2::2], strict=True):
            for name, twin in _twins(mark.split(", "), text.strip() + "\n"):
                if name in texts:
                    raise InternalError(f"{folder} has two kernel blocks {name}")
                texts[name] = twin
    return texts


def _twins(names: Sequence[str], text: str) -> Iterator[tuple[str, str]]:
    """The block of the first name, and those for other element types that its mark adds."""
    first, *types = names
    yield first, text
    for kind in types:
        bits = kind[1:]
        other = re.sub(r"\bint8_t\b", f"int{bits}_t", text).replace("_s8", f"_{kind}")
        yield first.replace("_s8", f"_{kind}"), re.sub(r"\bINT8_", f"INT{bits}_", other)


def _mentioned(name: str, text: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    words = dict.fromkeys(_WORD.findall(_COMMENT.sub("", text)))
    return tuple(word for word in words if word in texts and word != name)


def needed(names: Iterable[str], variant: str = "portable") -> list[Block]:
    """The blocks `names` and all that they need, each after what it needs."""
    table, done = blocks(variant), dict[str, Block]()

    def take(name: str) -> None:
        if name in done:
            return
        if name not in table:
            raise InternalError(f"there is no kernel {name}")
        for need in table[name].needs:
            take(need)
        done[name] = table[name]

    for name in sorted(names):
        take(name)
    return list(done.values())


def kernel_files(names: Iterable[str], variant: str) -> tuple[str, str]:
    """(declarations for kernels.h, definitions for kernels.c) of these kernels."""
    chosen = needed(names, variant)
    header = [block.prototype or block.text for block in chosen]
    source = [block.text for block in chosen if block.prototype]
    return "\n".join(header), "\n".join(source)
