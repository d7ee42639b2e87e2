"""Whether a model fits a device: arena and weights placed in its banks, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgepack.devices import Bank, Region, Target
from edgepack.plan.flash import FlashUse
from edgepack.plan.memory import MemoryPlan


@dataclass(frozen=True, slots=True)
class BankUse:
    """One memory bank with what was placed in it; `weights_bytes` includes graph and code."""

    name: str
    kind: str
    bytes: int
    reserved_bytes: int
    arena_bytes: int
    weights_bytes: int

    @property
    def free_bytes(self) -> int:
        """What remains."""
        return self.bytes - self.reserved_bytes - self.arena_bytes - self.weights_bytes

    def as_dict(self) -> dict[str, Any]:
        """An entry of `banks` in report.json."""
        return {
            "name": self.name,
            "kind": self.kind,
            "bytes": self.bytes,
            "reserved_bytes": self.reserved_bytes,
            "arena_bytes": self.arena_bytes,
            "weights_bytes": self.weights_bytes,
            "free_bytes": self.free_bytes,
        }


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict; `problems` and `remedies` are sentences, empty when it fits."""

    fits: bool
    plan: MemoryPlan
    flash: FlashUse
    sram_budget_bytes: int
    flash_budget_bytes: int
    banks: tuple[BankUse, ...]
    problems: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()

    def beside(self, c_flash: FlashUse) -> Fit:
        """The same verdict, for a model that is also written in C, with that project's flash."""
        return replace(self, flash=replace(self.flash, by_compiler=c_flash.by_compiler))

    def as_dict(self) -> dict[str, Any]:
        """The object `memory` of report.json; `flash_by_compiler` is that of the C project."""
        return {
            "runtime": self.plan.runtime,
            "arena_bytes": self.plan.arena_bytes,
            "arena_setup_bytes": self.plan.setup_bytes,
            "flash_bytes": self.flash.total_bytes,
            "flash_weight_bytes": self.flash.weight_bytes,
            "flash_graph_bytes": self.flash.graph_bytes,
            "flash_code_bytes": self.flash.code_bytes,
            "flash_compiler": self.flash.compiler,
            "flash_by_compiler": dict(self.flash.by_compiler),
            "sram_budget_bytes": self.sram_budget_bytes,
            "flash_budget_bytes": self.flash_budget_bytes,
            "peak_node": self.plan.peak_node,
            "timeline": [
                {"node": point.node, "op": point.op, "live_bytes": point.live_bytes}
                for point in self.plan.timeline
            ],
            "banks": [bank.as_dict() for bank in self.banks],
        }


@dataclass(slots=True)
class _Filling:
    """Banks being filled: bytes taken by name, for the arena and for the weights."""

    arena: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def free(self, bank: Bank) -> int:
        return bank.free_bytes - self.arena.get(bank.name, 0) - self.weights.get(bank.name, 0)

    def put(self, nbytes: int, region: Region, taken: dict[str, int]) -> int:
        """Fill the region's banks in order; return the bytes that found no room."""
        for bank in region.banks:
            part = max(0, min(nbytes, self.free(bank)))
            taken[bank.name] = taken.get(bank.name, 0) + part
            nbytes -= part
        return nbytes


@dataclass(frozen=True, slots=True)
class _Attempt:
    arena_region: Region
    weight_region: Region
    filling: _Filling
    arena_short: int
    weights_short: int


def check_fit(
    target: Target,
    plan: MemoryPlan,
    flash: FlashUse,
    *,
    float_activations: bool = False,
    fast_first: bool = False,
) -> Fit:
    """Place the arena (with what the runtime needs to set itself up) and the weights in banks.

    The arena goes to the largest memory, or with `fast_first` to a fast one that holds it.
    `float_activations` tells that the model computes in float, which the remedies then start with.
    """
    attempt = _best_attempt(target, plan.setup_bytes, flash.total_bytes, fast_first)
    fits = attempt.arena_short == attempt.weights_short == 0
    problems = tuple(_problems(target, plan, flash, attempt))
    remedies = () if fits else tuple(_remedies(target, plan, flash, attempt, float_activations))
    return Fit(
        fits=fits,
        plan=plan,
        flash=flash,
        sram_budget_bytes=target.sram_budget_bytes,
        flash_budget_bytes=target.flash_budget_bytes,
        banks=_bank_uses(target.banks, attempt.filling.arena, attempt.filling.weights),
        problems=problems,
        remedies=remedies,
    )


def _best_attempt(
    target: Target, arena_bytes: int, weights_bytes: int, fast_first: bool
) -> _Attempt:
    """The first pair of regions that holds both, else the pair that falls least short."""
    attempts = []
    arena_regions = sorted(target.arena_regions, key=lambda r: fast_first and not r.fast)
    for arena_region in arena_regions:
        for weight_region in target.weight_regions:
            filling = _Filling()
            arena_short = filling.put(arena_bytes, arena_region, filling.arena)
            weights_short = filling.put(weights_bytes, weight_region, filling.weights)
            attempts.append(
                _Attempt(arena_region, weight_region, filling, arena_short, weights_short)
            )
    return min(attempts, key=lambda a: a.arena_short + a.weights_short)  # first of equals


def _bank_uses(
    banks: Sequence[Bank], arena: Mapping[str, int], weights: Mapping[str, int]
) -> tuple[BankUse, ...]:
    return tuple(
        BankUse(
            bank.name,
            bank.kind,
            bank.bytes,
            bank.reserved_bytes,
            arena.get(bank.name, 0),
            weights.get(bank.name, 0),
        )
        for bank in banks
    )


def _problems(target: Target, plan: MemoryPlan, flash: FlashUse, attempt: _Attempt) -> list[str]:
    found = []
    if attempt.arena_short:
        region = attempt.arena_region
        found.append(
            f"the arena takes {_kib(plan.setup_bytes)} and peaks at {plan.peak_node}; "
            f"{target.name} has {_kib(region.free_bytes)} free in {region.name}"
        )
    if attempt.weights_short:
        region = attempt.weight_region
        room = region.free_bytes - sum(
            attempt.filling.arena.get(bank.name, 0) for bank in region.banks
        )
        found.append(
            f"weights, graph and code take {_kib(flash.total_bytes)}; "
            f"{target.name} has {_kib(room)} free in {region.name}"
        )
    return found


def _remedies(
    target: Target, plan: MemoryPlan, flash: FlashUse, attempt: _Attempt, float_activations: bool
) -> list[str]:
    found = []
    if float_activations and "int8" in target.dtypes:
        found.append("--quantize int8: activations and weights take a quarter")
    if attempt.arena_short:
        found.append(
            f"a smaller input, or fewer channels around {plan.peak_node}: "
            f"{_share(attempt.arena_short, plan.setup_bytes)} of the arena must go"
        )
    if attempt.weights_short:
        share = _share(attempt.weights_short, flash.total_bytes)
        code = flash.code_bytes or 0
        if 2 * code > flash.total_bytes:
            found.append(
                f"fewer kinds of operators: {_kib(code)} of it is runtime code; "
                f"{share} of weights, graph and code must go"
            )
        else:
            found.append(f"fewer or narrower layers: {share} of weights, graph and code must go")
    found.append("another device: `edgepack targets` lists them with their memory")
    return found


def _share(part: int, whole: int) -> str:
    return f"{-(-100 * part // whole)}%"


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:,.1f} KiB"
