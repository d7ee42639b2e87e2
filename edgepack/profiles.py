"""Reads target profiles: TOML files that say what a device has, checked field by field.

A profile is a file in `targets/` (or anywhere, given by path); it names a runtime, whose operators
and dtypes are listed once in `targets/runtimes/`. Every fact carries its source or is marked
`unverified`.

    target = load_target("nucleo-l4r5zi")
    target.sram_budget_bytes            # the largest run of memory one arena can have
    target.supports("CONV_2D", "int8")  # what its runtime has kernels for
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from edgepack.devices import Accelerator, Bank, Core, Emulator, KernelSet, Runtime, Target
from edgepack.errors import BadTarget
from edgepack.strict_toml import Table, data_folder, near, read_toml

KINDS = ("mcu", "linux", "phone")
FORMATS = ("tflite", "onnx", "c")
SCHEMES = ("none", "int8", "int16x8", "w4a8", "dynamic", "dynamic4", "blockwise4", "fp16", "bf16")
IO_DTYPES = ("int8", "uint8", "float")
DTYPES = (
    *("float32", "float16", "bfloat16", "int8", "int16x8", "w4a8", "int4", "int16", "int32"),
    *("int64", "uint8", "uint16", "uint32", "uint64", "bool", "float64", "hybrid", "hybrid4"),
)
ISA_FEATURES = (
    *("dsp", "fpu", "fpu-double", "mve", "neon", "dotprod", "fp16", "i8mm", "esp-simd", "pie"),
    *("cuda",),
)


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


def target_ids() -> tuple[str, ...]:
    """The ids of `list_targets`, without reading the profiles."""
    return tuple(sorted(_profile_paths()))


def load_runtime(runtime_id: str) -> Runtime:
    """The runtime with that id. Raises BadTarget for an unknown one."""
    known = _runtime_ids()
    if runtime_id not in known:
        raise BadTarget(f"no runtime is called {runtime_id!r}", hint=near(runtime_id, known))
    return _read_runtime(data_folder("targets") / "runtimes" / f"{runtime_id}.toml")


def _unknown_hint(wanted: str | Path) -> str:
    hint = near(str(wanted), _profile_paths())
    listing = "`edgepack targets` lists them all; a path to a .toml profile works too"
    return f"{hint} {listing}" if hint.startswith("did you") else listing


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
    banks: list[Bank] = []
    for entry in table.tables("banks", at_least=1):
        banks.append(_read_bank(entry, [bank.name for bank in banks]))
    _check_banks(banks, table)
    return tuple(banks)


def _check_banks(banks: list[Bank], table: Table) -> None:
    for use, kind, what in (
        ("arena", "ram", "the arena"),
        ("weights", "flash", "weights and code"),
    ):
        if not any(getattr(bank, use) for bank in banks):
            found = f"only {', '.join(bank.name for bank in banks)}"
            hint = f'add one of kind = "{kind}", or set {use} = true in one that may hold them'
            raise table.wrong("banks", f"a bank for {what}", hint, found=found)


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
        fast=table.flag("fast", False),
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
    cycles = table.number("cycles_per_instruction", 0.0)
    emulator = Emulator(
        table.text("qemu_machine", "") or None,
        table.text("unicorn_cpu", "") or None,
        cycles or None,
        table.text("cycles_source", ""),
        table.flag("cycles_unverified", False),
    )
    if cycles < 0:
        raise table.wrong("cycles_per_instruction", "a number above 0")
    if cycles and not (emulator.cycles_source or emulator.cycles_unverified):
        raise table.wrong("cycles_source", "a source, or cycles_unverified = true")
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
