"""What a device has, and what its runtime can run: the records that a profile is read into.

Operators have TFLite's builtin names. The dtype of a kernel is its first data input's, with names
for kernels whose weights are narrower than their activations: `int16x8` (int16 activations, int8
weights; the same as `int16`), `w4a8` (int8 activations, int4 weights), and `hybrid` and `hybrid4`
(float32 activations, int8 or int4 weights).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal


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
    """One memory: its size, what firmware already takes of it, and what may be placed there.

    `fast`: coupled tightly to the core that runs the model, which never waits for it.
    """

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
    fast: bool = False

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
    def fast(self) -> bool:
        """Whether all its banks are."""
        return all(bank.fast for bank in self.banks)

    @property
    def free_bytes(self) -> int:
        """What firmware leaves of all its banks together."""
        return sum(bank.free_bytes for bank in self.banks)


@dataclass(frozen=True, slots=True)
class Emulator:
    """How to run the device's code on a host: a QEMU machine and a Unicorn CPU model, if any.

    `cycles_per_instruction`, an average over inferences, turns counted instructions into time.
    """

    qemu_machine: str | None
    unicorn_cpu: str | None
    cycles_per_instruction: float | None = None
    cycles_source: str = ""
    cycles_unverified: bool = False


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
    """A device profile, as `profiles.load_target` reads it."""

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
