"""What a project consists of: the same lowering as for its text, counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from edgepack.errors import InternalError
from edgepack.ir import Graph
from edgepack.plan.c_contents import CContents
from edgepack.plan.c_plan import CPlan
from edgepack.writers.c.builder import CBuilder, Table
from edgepack.writers.c.sources import blocks, needed

_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_BODY: Final = re.compile(r"\{(.*)\}", re.DOTALL)
_MEMBER: Final = re.compile(r"^(.*?)\s*(\**)(\w+)(?:\[(\d+)\])?$", re.DOTALL)
_PARAMETERS: Final = re.compile(r"static const (ep_\w+) ")
_CALL: Final = re.compile(r"\b(ep_\w+|mem\w+)\(")
_LIBRARY: Final = ("memcpy", "memmove", "memset")
_PLACE: Final = re.compile(r"EP_AT\((\d+)")
_NUMBER: Final = re.compile(r"(?<=[ (])-?\d+(?=[,)])")
_NEAR: Final = 4  # addresses that a compiler keeps in registers
_BYTES: Final = {
    "int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4,
    "float": 4, "int64_t": 8, "uint64_t": 8, "double": 8,
}  # fmt: skip
_POINTER_BYTES: Final = 4
_TABLE_ALIGNMENT: Final = 4  # EP_WORD_ALIGNED


def contents(graph: Graph, plan: CPlan, variant: str = "portable") -> CContents:
    """What `write_c` would write for the same arguments.

    Raises Unsupported with every node that has no C kernel.
    """
    out = CBuilder(graph, plan, variant)
    out.lower()
    functions = [block.name for block in needed(out.kernels, variant) if block.prototype]
    lines = [line for step in out.steps for line in step.lines]
    called = {name for line in lines for name in _CALL.findall(line)}
    kinds = [_PARAMETERS.match(text) for text in out.params]
    return CContents(
        tables=tuple(_table(entry, variant) for entry in out.tables.values()),
        structs=tuple(bytes_of(kind[1], variant)[0] for kind in kinds if kind),
        initial_bytes=sum(e.content.nbytes for e in out.states.values() if e.content.any()),
        calls=tuple(name for name in (*functions, *_LIBRARY) if name in called),
        functions=tuple(functions),
        statements=statements(lines, len(graph.inputs), len(graph.outputs)),
    )


def _table(entry: Table, variant: str) -> tuple[int, int]:
    size, widest = bytes_of(entry.kind, variant)
    return max(entry.content.size, 1) * size, max(widest, _TABLE_ALIGNMENT)


@cache
def bytes_of(kind: str, variant: str) -> tuple[int, int]:
    """(size, alignment) of a C type: a number, or a struct of the kernels of `variant`."""
    if kind in _BYTES:
        return _BYTES[kind], _BYTES[kind]
    if kind not in blocks(variant):
        raise InternalError(f"{kind} is no type of the C kernels")
    end, widest = 0, 1
    for member, count, pointer in _members(blocks(variant)[kind].text):
        size, step = (_POINTER_BYTES,) * 2 if pointer else bytes_of(member, variant)
        end, widest = -(-end // step) * step + size * count, max(widest, step)
    return -(-end // widest) * widest, widest


def _members(text: str) -> Iterator[tuple[str, int, bool]]:
    """(type, how many, whether pointers) of each member of a struct."""
    body = _BODY.search(_COMMENT.sub("", text))
    for declaration in body[1].split(";") if body else ():
        kind = ""
        for part in declaration.split(","):
            found = _MEMBER.match(part.strip())
            if found is None:
                continue
            kind = found[1].removeprefix("const ").strip() or kind
            yield kind, int(found[4] or 1), bool(found[2])


def statements(lines: Iterable[str], inputs: int, outputs: int) -> dict[str, int]:
    """Counts of what makes code: see `edgepack.plan.c_flash.STATEMENTS`."""
    found: Counter[str] = Counter(inputs=inputs, outputs=outputs)
    near: list[int] = []
    for line in lines:
        text = line.strip()
        found["loops"] += text.startswith("for ")
        if _CALL.search(text) is None:
            continue
        found["calls"] += 1
        found["parameters"] += text.count("&ep_node")
        found["tables"] += len(re.findall(r"\bep_table\d+", text))
        found["steps"] += text.count(" * ")
        found["numbers"] += len(_NUMBER.findall(_PLACE.sub("", text)))
        for place in map(int, _PLACE.findall(text)):
            found["places"] += 1
            if place in near:
                near.remove(place)
            else:
                found["far"] += 1
            near = [place, *near][:_NEAR]
    return dict(found)
