"""From a folder of C files to a program for the emulated device, and its sizes."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from edgepack.devices import Target
from edgepack.errors import BadInput, EdgepackError
from edgepack.run.emulator.cores import Processor
from edgepack.run.emulator.elf import Elf
from edgepack.run.emulator.linker import Layout
from edgepack.run.emulator.toolchain import Toolchain

_DEFINE: Final = re.compile(
    r"^#define (\w+?)_(ARENA_BYTES|(INPUT|OUTPUT)(\d+)_BYTES)\s+(\d+)", re.M
)
_NODE: Final = re.compile(r"/\* (\d+): (\w+) (.*?) -> [^\n]*\*/\s+\w+_NODE\(\1U?\)")
_OWN: Final = ("startup.c", "harness.c", "memory.c")
_NO_BUILTIN: Final = {
    "gcc": ("-fno-builtin", "-fno-tree-loop-distribute-patterns"),
    "zig": ("-fno-builtin",),
}
_LINK_LIMIT: Final = 64 << 20  # the profile's limits are checked afterwards, with numbers


class DoesNotFit(EdgepackError):
    """The firmware takes more than the profile's flash or SRAM."""


@dataclass(frozen=True, slots=True)
class CModel:
    """What the files of a C export say of themselves.

    Sizes in bytes; `nodes` are (operator, name) in the order in which they run.
    """

    folder: Path
    prefix: str
    arena_bytes: int
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    nodes: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, folder: Path) -> CModel:
        """Read the header and the order of nodes. Raises BadInput for a folder of other things."""
        for header in sorted(folder.glob("*.h")):
            defines = _DEFINE.findall(header.read_text(encoding="utf-8", errors="replace"))
            if any(kind == "ARENA_BYTES" for _, kind, *_ in defines):
                return cls._of(folder, header.stem, defines)
        raise BadInput(
            f"{folder} has no header with ..._ARENA_BYTES: it is not a C export",
            hint="export with --formats c",
        )

    @classmethod
    def _of(cls, folder: Path, stem: str, defines: Sequence[tuple[str, ...]]) -> CModel:
        ports: dict[str, list[int]] = {"INPUT": [], "OUTPUT": []}
        arena = 0
        for _, _, side, _, value in defines:
            if side:
                ports[side].append(int(value))
            else:
                arena = int(value)
        source = folder / f"{stem}.c"
        text = source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
        nodes = tuple((op, name) for _, op, name in _NODE.findall(text))
        return cls(folder, stem, arena, tuple(ports["INPUT"]), tuple(ports["OUTPUT"]), nodes)

    def node_at(self, index: int) -> str | None:
        """The name of a node; None outside of all nodes."""
        return self.nodes[index][1] if index < len(self.nodes) else None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the linked program, without the emulator's own start-up and harness.

    `code_bytes` is instructions and constants that are not weights; `data_bytes` lie in flash and
    are copied to RAM; `static_bytes` is all static RAM, the arena included.
    """

    weight_bytes: int
    code_bytes: int
    data_bytes: int
    static_bytes: int

    @classmethod
    def of(cls, elf: Elf) -> Sizes:
        """The sizes of a program linked by our script."""
        size = elf.section_bytes
        data = size(".data")
        return cls(size(".weights"), size(".text"), data, data + size(".bss"))

    @property
    def flash_bytes(self) -> int:
        """All that is stored in flash."""
        return self.weight_bytes + self.code_bytes + self.data_bytes


@dataclass(frozen=True, slots=True)
class Firmware:
    """A model linked for a core: as released, and with a call before each node (`profiled`)."""

    model: CModel
    processor: Processor
    layout: Layout
    toolchain: Toolchain
    released: bytes
    profiled: bytes
    sizes: Sizes

    def check_fits(self, target: Target) -> None:
        """Raise DoesNotFit, with the numbers, for more than the profile's memory."""
        sizes, layout = self.sizes, self.layout
        if sizes.flash_bytes > layout.flash_bytes:
            bank = target.weight_regions[0]
            raise DoesNotFit(
                f"the firmware takes {sizes.flash_bytes:,} B of flash (weights "
                f"{sizes.weight_bytes:,}, code {sizes.code_bytes:,}, data {sizes.data_bytes:,}); "
                f"{target.name} leaves {layout.flash_bytes:,} B",
                at=f"bank {bank.name}",
                hint="export with --optimize flash, or for a device with more flash",
            )
        both = sizes.flash_bytes + sizes.static_bytes
        if target.weights_share_ram and both > layout.ram_bytes:
            raise DoesNotFit(
                f"weights, code and static RAM take {both:,} B of one memory; {target.name} leaves "
                f"{layout.ram_bytes:,} B",
                at=f"bank {target.arena_regions[0].name}",
                hint="a smaller model, or a device with more RAM",
            )
        if sizes.static_bytes > layout.ram_bytes:
            raise DoesNotFit(
                f"the firmware takes {sizes.static_bytes:,} B of static RAM (arena "
                f"{self.model.arena_bytes:,}); {target.name} leaves {layout.ram_bytes:,} B",
                at=f"bank {target.arena_regions[0].name}",
                hint="export with --optimize ram, or for a device with more RAM",
            )


def build(folder: Path, target: Target, processor: Processor, toolchain: Toolchain) -> Firmware:
    """Compile and link the C files directly in `folder` for `target`.

    Raises BadInput when they do not build.
    """
    model = CModel.read(folder)
    layout = Layout.of(target, processor)
    with tempfile.TemporaryDirectory(prefix="edgepack-") as scratch, _own_sources() as own:
        work = _Build(model, Path(scratch), own, processor, toolchain)
        script = Path(scratch) / "firmware.ld"
        script.write_text(layout.script(_LINK_LIMIT, _LINK_LIMIT))
        shared = [*work.kernels_and_weights(), *work.own_objects()]
        released = work.link([*shared, *work.core(())], script, "released.elf")
        profiled = work.link(
            [*shared, *work.core((f"-D{model.prefix.upper()}_PROFILE",))], script, "profiled.elf"
        )
    sizes = Sizes.of(Elf.parse(released))
    return Firmware(model, processor, layout, toolchain, released, profiled, sizes)


@contextmanager
def _own_sources() -> Iterator[Path]:
    with resources.as_file(resources.files("edgepack.run.emulator") / "firmware") as folder:
        yield folder


@dataclass(frozen=True, slots=True)
class _Build:
    """One build in the folder `scratch`.

    Objects of ours are called fw__*.o and those of weights wt__*.o: the linker script goes by that.
    """

    model: CModel
    scratch: Path
    own: Path
    processor: Processor
    toolchain: Toolchain

    def core(self, options: tuple[str, ...]) -> list[Path]:
        """What is neither kernels nor weights, for size."""
        sources = [s for s in self._sources() if not _is_kernels(s) and not _is_weights(s)]
        return [self._object(source, "md__", ("-Os", *options)) for source in sources]

    def kernels_and_weights(self) -> list[Path]:
        """Kernels for speed; weights."""
        sources = self._sources()
        kernels = [self._object(s, "kn__", ("-O2",)) for s in sources if _is_kernels(s)]
        return kernels + [self._object(s, "wt__", ("-Os",)) for s in sources if _is_weights(s)]

    def own_objects(self) -> list[Path]:
        """Start-up, harness, what they need to know of the model, and memcpy."""
        interface = self.scratch / "interface.c"
        interface.write_text(_interface(self.model))
        board = self.processor.core.board
        prefix = self.model.prefix
        renamed = (f"-Dfirmware_{n}={prefix}_{n}" for n in ("input", "run", "output", "profile"))
        options = (
            "-O2", *_NO_BUILTIN[self.toolchain.kind], f"-I{self.own}", *renamed,
            f"-DFIRMWARE_FPGAIO=0x{board.fpgaio if board else 0x4002_8000:x}u",
        )  # fmt: skip
        leads = {"memory.c": "md__"}
        sources = [*(self.own / name for name in _OWN), interface]
        return [self._object(s, leads.get(s.name, "fw__"), options) for s in sources]

    def link(self, objects: Sequence[Path], script: Path, name: str) -> bytes:
        """The linked program."""
        out = self.scratch / name
        self.toolchain.link(objects, script, out, self.processor)
        return out.read_bytes()

    def _sources(self) -> list[Path]:
        return sorted(p for p in self.model.folder.glob("*.c") if p.name != "main.c")

    def _object(self, source: Path, lead: str, options: tuple[str, ...]) -> Path:
        to = self.scratch / f"{lead}{source.stem}.o"
        include = ("-I.", "-isystem", str(self.own / "include"))
        key = (self.toolchain, self.processor, options, _content(source))
        if key not in _OBJECTS:
            self.toolchain.compile(source.resolve(), to, self.processor, (*include, *options))
            data = to.read_bytes()
            if len(data) > _LARGE_OBJECT:
                return to
            _OBJECTS[key] = data
        to.write_bytes(_OBJECTS[key])
        return to


# Objects of this process: the harness is the same for every model, kernels often are.
_OBJECTS: Final[dict[tuple[object, ...], bytes]] = {}
_LARGE_OBJECT: Final = 256 << 10


def _content(source: Path) -> bytes:
    """A digest of a file, its name and all headers beside it."""
    found = hashlib.sha256(source.name.encode())
    for path in (source, *sorted(source.parent.glob("*.h"))):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.digest()


def _is_kernels(source: Path) -> bool:
    return source.stem.endswith("kernels")


def _is_weights(source: Path) -> bool:
    return source.stem.endswith("weights")


def _interface(model: CModel) -> str:
    """interface.c: the model's sizes for the harness, which does not include its header."""
    nodes = len(model.nodes)
    return _INTERFACE.format(
        inputs=len(model.input_bytes),
        outputs=len(model.output_bytes),
        input_bytes=", ".join(map(str, model.input_bytes)) or "0",
        output_bytes=", ".join(map(str, model.output_bytes)) or "0",
        nodes=nodes,
        slots=nodes + 2,
    )


_INTERFACE: Final = """\
#include "harness.h"

const uint32_t firmware_input_count = {inputs}u, firmware_output_count = {outputs}u;
const uint32_t firmware_input_bytes[] = {{{input_bytes}}};
const uint32_t firmware_output_bytes[] = {{{output_bytes}}};
const uint32_t firmware_node_count = {nodes}u;
uint32_t firmware_node_ticks[{slots}];
"""
