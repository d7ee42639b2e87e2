"""A report in three lines: whether it fits, is accurate, and is fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from edgepack.report.figures import (
    in_bytes,
    in_decibels,
    in_percent,
    in_short,
    in_time,
    nearest_device,
    on_this_machine,
    share_of,
    worst_exported,
    worst_sqnr,
)

if TYPE_CHECKING:
    from edgepack.report.model import Report, Requirement

State = Literal["good", "bad", "doubtful", "open"]
LARGE_DROP: Final = 0.02  # of top-1, from which on the export warns too
_KINDS: Final = {
    "measured": "measured on",
    "instructions": "counted in",
    "estimated": "estimated for",
}


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of something is taken: `share` of its budget, above 1 where it does not fit."""

    label: str
    taken_bytes: float | None
    budget_bytes: float | None
    key: str  # in report.json

    @property
    def name(self) -> str:
        """The label inside a sentence."""
        return self.label if self.label.isupper() else self.label.lower()

    @property
    def share(self) -> float | None:
        """Between 0 and more than 1; None where one of the two is not known."""
        return share_of(self.taken_bytes, self.budget_bytes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer in a few words, and one line of why; `open` is what was neither met nor missed."""

    question: str
    state: State
    answer: str
    why: str
    meters: tuple[Meter, ...] = ()


def verdicts(report: Report) -> tuple[Verdict, Verdict, Verdict]:
    """Fits, accurate, fast."""
    return _fits(report), _accurate(report), _fast(report)


def headline(report: Report) -> str:
    """Whether all that was asked for is met, in one sentence."""
    missed = [requirement.name for requirement in report.requirements if not requirement.met]
    if not missed and report.fits is False:
        return (
            "It does not fit, which --allow-misfit lets pass; all else that was asked for is met."
        )
    if not missed:
        return "All requirements are met."
    return f"Not all requirements are met: {', '.join(dict.fromkeys(missed))}."


def _fits(report: Report) -> Verdict:
    memory = report.memory
    meters = (
        Meter("RAM", memory["arena_bytes"], memory["sram_budget_bytes"], "arena_bytes"),
        Meter("Flash", memory["flash_bytes"], memory["flash_budget_bytes"], "flash_bytes"),
    )
    state: State = {True: "good", False: "bad", None: "open"}[report.fits]  # type: ignore[assignment]
    answer = {True: "It fits", False: "It does not fit", None: "Not known"}[report.fits]
    over = [meter for meter in meters if (meter.share or 0) > 1]
    if report.unsupported:
        kinds = sorted({finding.op for finding in report.unsupported})
        if not over:
            answer = "It does not run there"
        why = f"no kernel on {report.target} for {', '.join(kinds[:3])}"
        why += f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
    elif over:
        why = ", ".join(f"{_over(meter)} too much {meter.name}" for meter in over)
    elif report.fits is False:
        why = "no memory bank of the device takes it as one piece"
    elif report.fits is None:
        why = "memory could not be planned; the notes say why"
    else:
        why = ", ".join(_use(meter) for meter in meters)
    return Verdict("Does it fit?", state, answer, why, meters)


def _over(meter: Meter) -> str:
    return in_bytes((meter.taken_bytes or 0) - (meter.budget_bytes or 0))


def _use(meter: Meter) -> str:
    taken, budget = in_bytes(meter.taken_bytes), in_bytes(meter.budget_bytes)
    return f"{meter.name} {taken} of {budget}"


def _accurate(report: Report) -> Verdict:
    asked = [r for r in report.requirements if r.name.startswith(("accuracy", "output SQNR"))]
    state = _asked(asked)
    share, real = worst_exported(report), report.accuracy.float_
    if share is not None:
        drop = None if real is None else real - share
        if state is None:
            state = "open" if drop is None else "doubtful" if drop > LARGE_DROP else "good"
        return Verdict("Is it accurate?", state, _scored(report, share), _drop(report, drop))
    db = worst_sqnr(report)
    if db is not None:
        why = "signal to noise of the outputs, against the float model; no labelled data were given"
        return Verdict("Is it accurate?", state or "open", in_decibels(db), why)
    real_numbers = report.quantization.scheme == "none" and report.files.get("tflite")
    why = "nothing is quantized" if real_numbers else "give labelled data with --eval"
    return Verdict("Is it accurate?", state or "open", "Not measured", why)


def _asked(requirements: list[Requirement]) -> State | None:
    """What the user's own limits say; None without any."""
    if not requirements:
        return None
    return "good" if all(requirement.met for requirement in requirements) else "bad"


def _scored(report: Report, share: float) -> str:
    return f"{in_percent(share)} {report.accuracy.metric or ''}".strip()


def _drop(report: Report, drop: float | None) -> str:
    samples = f"{report.accuracy.samples:,} samples" if report.accuracy.samples else "the samples"
    if drop is None:
        return f"on {samples}; float was not measured"
    if drop == 0:
        return f"as float, on {samples}"
    way = "below" if drop > 0 else "above"
    points = f"{100 * abs(drop):.2f} points {way} float's {in_percent(report.accuracy.float_)}"
    return f"{points}, on {samples}"


def _fast(report: Report) -> Verdict:
    state = _asked([r for r in report.requirements if r.name.startswith("latency")]) or "open"
    latency = nearest_device(report.latencies)
    if latency is None:
        why = "MACs of one inference; `edgepack validate` measures its time"
        return Verdict("Is it fast?", state, f"{in_short(report.compute.macs)} MACs", why)
    why = f"{_KINDS[latency.kind]} {latency.where}"
    if on_this_machine(latency):
        why += "; this machine, not the device"
    return Verdict("Is it fast?", state, in_time(latency), why)
