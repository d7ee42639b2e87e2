"""Target profiles: what a device has, and what its runtime can run.

A profile is a TOML file in `targets/` (or anywhere, given by path); it names a runtime, whose
operators and dtypes are listed once in `targets/runtimes/`. Every fact carries its source or is
marked `unverified`.

    target = load_target("nucleo-l4r5zi")
    target.sram_budget_bytes            # the largest run of memory one arena can have
    target.supports("CONV_2D", "int8")  # what its runtime has kernels for

Operators have TFLite's builtin names. The dtype of a kernel is its first data input's, with names
for kernels whose weights are narrower than their activations: `int16x8` (int16 activations, int8
weights; the same as `int16`), `w4a8` (int8 activations, int4 weights), and `hybrid` and `hybrid4`
(float32 activations, int8 or int4 weights).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from edgepack.errors import BadTarget
from edgepack.strict_toml import Table, data_folder, near, read_toml

KINDS = ("mcu", "linux", "phone")
FORMATS = ("tflite", "onnx", "c")
SCHEMES = ("none", "int8", "int16x8", "w4a8", "dynamic", "dynamic4", "fp16")
IO_DTYPES = ("int8", "uint8", "float")
DTYPES = (
    *("float32", "float16", "int8", "int16x8", "w4a8", "int4", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool", "float64", "hybrid", "hybrid4"),
)
ISA_FEATURES = (
    *("dsp", "fpu", "fpu-double", "mve", "neon", "dotprod", "fp16", "i8mm", "esp-simd", "pie"),
    *("cuda",),
)


@dataclass(frozen=True, slots=True)
class Core:
    """`count` equal processor cores; a profile's first entry is the one that runs the model."""

    name: str
    count: int
    clock_hz: int
    isa: frozenset[str]
    source: str
    unverified: bool


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A neural processor beside the cores; `config` is the name its compiler knows it by."""

    name: str
    config: str
    macs_per_cycle: int
    clock_hz: int
    weight_bytes: int
    source: str
    unverified: bool


@dataclass(frozen=True, slots=True)
class Bank:
    """One memory: its size, what firmware already takes of it, and what may be placed there."""

    name: str
    kind: Literal["ram", "flash"]
    bytes: int
    reserved_bytes: int
    arena: bool
    weights: bool
    contiguous_with: str | None
    source: str
    reserved_source: str
    unverified: bool
    reserved_unverified: bool

    @property
    def free_bytes(self) -> int:
        """What firmware leaves."""
        return self.bytes - self.reserved_bytes


@dataclass(frozen=True, slots=True)
class Region:
    """Banks that lie end to end in the address space: one buffer may span them."""

    banks: tuple[Bank, ...]

    @property
    def name(self) -> str:
        """The banks' names, joined."""
        return "+".join(bank.name for bank in self.banks)

    @property
    def free_bytes(self) -> int:
        """What firmware leaves of all its banks together."""
        return sum(bank.free_bytes for bank in self.banks)


@dataclass(frozen=True, slots=True)
class Emulator:
    """How to run the device's code on a host: a QEMU machine and a Unicorn CPU model, if any."""

    qemu_machine: str | None
    unicorn_cpu: str | None


@dataclass(frozen=True, slots=True)
class KernelSet:
    """The code size of one implementation of a runtime's kernels, and which ones it speeds up.

    `core_bytes` is what every model pays (interpreter, allocator, logging, libc), `op_bytes` what
    each kernel adds once; an operator without a figure counts `other_op_bytes`.
    """

    name: str
    core_bytes: int
    other_op_bytes: int
    op_bytes: Mapping[str, int]
    accelerated: frozenset[str]
    source: str
    unverified: bool

    def code_bytes(self, ops: Iterable[str]) -> int:
        """Flash that the runtime takes for a model that uses `ops` (builtin names)."""
        return self.core_bytes + sum(
            self.op_bytes.get(op, self.other_op_bytes) for op in sorted(set(ops))
        )


@dataclass(frozen=True, slots=True)
class Runtime:
    """A program that runs models: which files it takes and which operators in which dtypes.

    `ops` is None for a runtime that runs whatever the writer can emit. Operators missing from it
    run on `fallback`, the runtime of the host processor, when that is given; its kernel sets are
    then the fallback's. `narrow` lists the kernels for quantized numbers and for weights narrower
    than their activations, where they are fewer than those for plain numbers of the same types;
    None where they are not. `dense_per_channel` has the dtypes in which fully connected layers take
    one scale per output channel, in every release that is about.
    """

    id: str
    name: str
    formats: tuple[str, ...]
    dtypes: frozenset[str]
    ops: Mapping[str, frozenset[str]] | None
    narrow: Mapping[str, frozenset[str]] | None
    dense_per_channel: frozenset[str]
    fallback: Runtime | None
    kernel_sets: Mapping[str, KernelSet]
    source: str
    unverified: bool

    def quantizes(self, op: str, dtype: str) -> bool:
        """Whether it, or its fallback, has builtin `op` for quantized numbers of `dtype`."""
        if dtype in _with_aliases((self.ops or {}).get(op, frozenset())):
            return True
        if self.narrow is not None:
            return dtype in _with_aliases(self.narrow.get(op, frozenset()))
        if self.fallback is not None:
            return self.fallback.quantizes(op, dtype)
        return self.ops is None and dtype in _with_aliases(self.dtypes)


@dataclass(frozen=True, slots=True)
class Target:
    """A device profile; see the module for where it comes from."""

    id: str
    name: str
    kind: Literal["mcu", "linux", "phone"]
    cores: tuple[Core, ...]
    accelerator: Accelerator | None
    banks: tuple[Bank, ...]
    runtime: Runtime
    kernel_set: KernelSet | None
    formats: tuple[str, ...]
    quantize: str
    io: Literal["int8", "uint8", "float"]
    dtypes: frozenset[str]
    pointer_bytes: int
    ops: Mapping[str, frozenset[str]]
    emulator: Emulator | None
    notes: tuple[str, ...]
    source: str
    unverified: bool

    @property
    def clock_hz(self) -> int:
        """The clock of the core that runs the model."""
        return self.cores[0].clock_hz

    @property
    def isa(self) -> frozenset[str]:
        """The instruction-set features of the core that runs the model."""
        return self.cores[0].isa

    @property
    def arena_regions(self) -> tuple[Region, ...]:
        """Where an arena may lie, largest free space first: it never spans two regions."""
        return regions_of(bank for bank in self.banks if bank.arena)

    @property
    def weight_regions(self) -> tuple[Region, ...]:
        """Where weights and code may lie, flash before RAM, then largest free space first."""
        regions = regions_of(bank for bank in self.banks if bank.weights)
        return tuple(sorted(regions, key=lambda region: region.banks[0].kind != "flash"))

    @property
    def sram_budget_bytes(self) -> int:
        """The largest arena that leaves firmware its share."""
        return self.arena_regions[0].free_bytes

    @property
    def flash_budget_bytes(self) -> int:
        """What weights, graph and runtime code may take together."""
        return self.weight_regions[0].free_bytes

    @property
    def weights_share_ram(self) -> bool:
        """Whether weights lie in the arena's own memory: the budgets then count the same bytes."""
        return self.weight_regions[0].banks[0].arena

    def dtypes_of(self, op: str) -> frozenset[str]:
        """The dtypes this device runs builtin `op` in, on accelerator or processor; else empty."""
        if op in self.ops:
            return self.ops[op]
        return _kernel_dtypes(self.runtime, op) & _with_aliases(self.dtypes)

    def supports(self, op: str, dtype: str) -> bool:
        """Whether the device has a kernel for builtin `op` on input `dtype` (module docstring)."""
        return dtype in _with_aliases(self.dtypes_of(op))

    def quantizes(self, op: str, dtype: str) -> bool:
        """Whether that kernel takes quantized numbers, or narrow weights, in `dtype`."""
        return self.supports(op, dtype) and self.runtime.quantizes(op, dtype)

    def accelerates(self, op: str, dtype: str) -> bool:
        """Whether it is one of the fast kernels: on the accelerator, or in the kernel set's list.

        Shape limits of accelerators are not part of this answer; their compilers report those.
        """
        if self.runtime.fallback is not None:
            own = self.runtime.ops or {}
            return dtype in _with_aliases(own.get(op, frozenset()))
        fast = self.kernel_set.accelerated if self.kernel_set else frozenset[str]()
        return op in fast and dtype in ("int8", "int16", "int16x8") and self.supports(op, dtype)


def load_target(id_or_path: str | Path) -> Target:
    """The profile with that id, or the one in that `.toml` file.

    Raises BadTarget for an unknown id (naming the closest ones) and for a profile with a wrong
    field (naming the field, what was found and what is expected).
    """
    return _read_target(target_path(id_or_path))


def target_path(id_or_path: str | Path) -> Path:
    """The profile's file. Raises BadTarget for an unknown id."""
    path = Path(id_or_path)
    if path.suffix == ".toml":
        return path
    known = _profile_paths()
    if str(id_or_path) not in known:
        raise BadTarget(f"no target is called {str(id_or_path)!r}", hint=_unknown_hint(id_or_path))
    return known[str(id_or_path)]


def list_targets() -> tuple[Target, ...]:
    """Every profile that ships with edgepack, by id."""
    return tuple(_read_target(path) for _, path in sorted(_profile_paths().items()))


def load_runtime(runtime_id: str) -> Runtime:
    """The runtime with that id. Raises BadTarget for an unknown one."""
    known = _runtime_ids()
    if runtime_id not in known:
        raise BadTarget(f"no runtime is called {runtime_id!r}", hint=near(runtime_id, known))
    return _read_runtime(data_folder("targets") / "runtimes" / f"{runtime_id}.toml")


def regions_of(banks: Iterable[Bank]) -> tuple[Region, ...]:
    """Banks joined where `contiguous_with` says so; regions by falling free space, then name."""
    groups: list[list[Bank]] = []
    for bank in banks:
        joined = [group for group in groups if group[-1].name == bank.contiguous_with]
        if joined:
            joined[0].append(bank)
        else:
            groups.append([bank])
    regions = (Region(tuple(group)) for group in groups)
    return tuple(sorted(regions, key=lambda region: (-region.free_bytes, region.name)))


def _unknown_hint(wanted: str | Path) -> str:
    hint = near(str(wanted), _profile_paths())
    listing = "`edgepack targets` lists them all; a path to a .toml profile works too"
    return f"{hint} {listing}" if hint.startswith("did you") else listing


def _kernel_dtypes(runtime: Runtime, op: str) -> frozenset[str]:
    """The dtypes in which the runtime or its fallback runs `op`."""
    if runtime.ops is None:
        return runtime.dtypes
    own = runtime.ops.get(op, frozenset())
    rest = _kernel_dtypes(runtime.fallback, op) if runtime.fallback else frozenset[str]()
    return _with_aliases(own | rest)


def _with_aliases(dtypes: frozenset[str]) -> frozenset[str]:
    """`int16` and `int16x8` name the same kernels."""
    both = frozenset(("int16", "int16x8"))
    return dtypes | both if dtypes & both else dtypes


def _profile_paths() -> dict[str, Path]:
    return {path.stem: path for path in data_folder("targets").glob("*.toml")}


@cache
def _runtime_ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (data_folder("targets") / "runtimes").glob("*.toml")))


def _read_target(path: Path) -> Target:
    table = read_toml(path, BadTarget)
    table.only(Target)
    kind = table.text("kind", one_of=KINDS)
    runtime = load_runtime(table.text("runtime", one_of=_runtime_ids()))
    source, unverified = _source(table)
    target = Target(
        id=table.text("id"),
        name=table.text("name"),
        kind=kind,  # type: ignore[arg-type]  # one_of has checked it
        cores=tuple(_read_core(core) for core in table.tables("cores", at_least=1)),
        accelerator=_read_accelerator(table) if "accelerator" in table else None,
        banks=_read_banks(table),
        runtime=runtime,
        kernel_set=_read_kernel_set_name(table, runtime),
        formats=table.texts("formats", runtime.formats, one_of=FORMATS),
        quantize=table.text("quantize", "int8", one_of=SCHEMES),
        io=table.text("io", "int8" if kind == "mcu" else "float", one_of=IO_DTYPES),  # type: ignore[arg-type]  # likewise
        dtypes=frozenset(table.texts("dtypes", tuple(sorted(runtime.dtypes)), one_of=DTYPES)),
        pointer_bytes=table.integer("pointer_bytes", 4 if kind == "mcu" else 8, at_least=2),
        ops=_read_ops(table.table("ops")),
        emulator=_read_emulator(table) if "emulator" in table else None,
        notes=table.texts("notes", ()),
        source=source,
        unverified=unverified,
    )
    table.finish()
    if path.parent == data_folder("targets") and target.id != path.stem:
        raise table.wrong("id", f"{path.stem!r}, the file's name")
    return target


def _read_core(table: Table) -> Core:
    table.only(Core)
    source, unverified = _source(table)
    core = Core(
        name=table.text("name"),
        count=table.integer("count", 1, at_least=1),
        clock_hz=table.integer("clock_hz", at_least=1),
        isa=frozenset(table.texts("isa", (), one_of=ISA_FEATURES)),
        source=source,
        unverified=unverified,
    )
    table.finish()
    return core


def _read_accelerator(parent: Table) -> Accelerator:
    table = parent.table("accelerator")
    table.only(Accelerator)
    source, unverified = _source(table)
    accelerator = Accelerator(
        name=table.text("name"),
        config=table.text("config", ""),
        macs_per_cycle=table.integer("macs_per_cycle", 0),
        clock_hz=table.integer("clock_hz", 0),
        weight_bytes=table.integer("weight_bytes", 0),
        source=source,
        unverified=unverified,
    )
    table.finish()
    return accelerator


def _read_banks(table: Table) -> tuple[Bank, ...]:
    entries = table.tables("banks", at_least=1)
    names: list[str] = []
    banks = []
    for entry in entries:
        bank = _read_bank(entry, names)
        names.append(bank.name)
        banks.append(bank)
    for use in ("arena", "weights"):
        if not any(getattr(bank, use) for bank in banks):
            raise table.wrong("banks", f"at least one bank with {use} = true")
    return tuple(banks)


def _read_bank(table: Table, earlier: list[str]) -> Bank:
    table.only(Bank)
    source, unverified = _source(table)
    kind = table.text("kind", one_of=("ram", "flash"))
    reserved_source = table.text("reserved_source", "")
    joined = table.text("contiguous_with", one_of=earlier) if "contiguous_with" in table else None
    bank = Bank(
        name=table.text("name"),
        kind=kind,  # type: ignore[arg-type]  # one_of has checked it
        bytes=table.integer("bytes", at_least=1),
        reserved_bytes=table.integer("reserved_bytes", 0),
        arena=table.flag("arena", kind == "ram"),
        weights=table.flag("weights", kind == "flash"),
        contiguous_with=joined,
        source=source,
        reserved_source=reserved_source,
        unverified=unverified,
        reserved_unverified=table.flag("reserved_unverified", False),
    )
    table.finish()
    _check_bank(bank, earlier, table)
    return bank


def _check_bank(bank: Bank, earlier: list[str], table: Table) -> None:
    if bank.name in earlier:
        raise table.wrong("name", "a name that no other bank has")
    if bank.reserved_bytes > bank.bytes:
        raise table.wrong("reserved_bytes", f"at most the bank's {bank.bytes} bytes")
    if bank.kind == "flash" and bank.arena:
        raise table.wrong("arena", "false, since flash cannot hold an arena")
    if bank.reserved_bytes and not (bank.reserved_source or bank.reserved_unverified):
        raise table.wrong("reserved_source", "a source, or reserved_unverified = true")


def _read_kernel_set_name(table: Table, runtime: Runtime) -> KernelSet | None:
    if not runtime.kernel_sets:
        return None
    return runtime.kernel_sets[table.text("kernel_set", one_of=tuple(runtime.kernel_sets))]


def _read_emulator(parent: Table) -> Emulator:
    table = parent.table("emulator")
    table.only(Emulator)
    emulator = Emulator(
        table.text("qemu_machine", "") or None, table.text("unicorn_cpu", "") or None
    )
    table.finish()
    return emulator


@cache
def _read_runtime(path: Path) -> Runtime:
    table = read_toml(path, BadTarget)
    table.only(Runtime)
    source, unverified = _source(table)
    fallback = load_runtime(table.text("fallback")) if "fallback" in table else None
    own_sets = _read_kernel_sets(table.table("kernel_sets"))
    runtime = Runtime(
        id=table.text("id"),
        name=table.text("name"),
        formats=table.texts("formats", one_of=FORMATS),
        dtypes=frozenset(table.texts("dtypes", one_of=DTYPES)),
        ops=_read_ops(table.table("ops")) if "ops" in table else None,
        narrow=_read_ops(table.table("narrow")) if "narrow" in table else None,
        dense_per_channel=frozenset(table.texts("dense_per_channel", (), one_of=DTYPES)),
        fallback=fallback,
        kernel_sets=own_sets or (fallback.kernel_sets if fallback else {}),
        source=source,
        unverified=unverified,
    )
    table.finish()
    return runtime


def _read_kernel_sets(table: Table) -> Mapping[str, KernelSet]:
    return {name: _read_kernel_set(name, table.table(name)) for name in table}


def _read_kernel_set(name: str, table: Table) -> KernelSet:
    table.only(KernelSet)
    source, unverified = _source(table)
    ops = table.table("op_bytes")
    kernels = KernelSet(
        name=name,
        core_bytes=table.integer("core_bytes"),
        other_op_bytes=table.integer("other_op_bytes"),
        op_bytes={op: ops.integer(op) for op in ops},
        accelerated=frozenset(table.texts("accelerated", ())),
        source=source,
        unverified=unverified,
    )
    table.finish()
    return kernels


def _read_ops(table: Table) -> Mapping[str, frozenset[str]]:
    """Builtin name → dtypes; an empty array says that the device lacks the operator."""
    return {op: frozenset(table.texts(op, one_of=DTYPES)) for op in table}


def _source(table: Table) -> tuple[str, bool]:
    """The table's `source` line, which may only be missing where `unverified = true`."""
    unverified = table.flag("unverified", False)
    source = table.text("source", "")
    if not source and not unverified:
        raise table.wrong("source", "where the facts come from, or unverified = true")
    return source, unverified
