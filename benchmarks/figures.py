"""One measured figure, and how figures are shown."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata

PACKAGES = (
    "edgepack", "numpy", "onnx", "onnxruntime", "ai-edge-litert", "torch", "tensorflow",
    "tflite-micro",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit` of `what`, by `who`; None when it was not measured, and `note` says why."""

    what: str
    who: str
    value: float | None
    unit: str
    note: str = ""

    def __str__(self) -> str:
        shown = "-" if self.value is None else f"{self.value:,.4g}"
        if self.value is not None and abs(self.value) >= 1000:
            shown = f"{self.value:,.0f}"
        return f"  {self.what:46} {self.who:28} {shown:>10} {self.unit:5} {self.note}".rstrip()

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def versions() -> dict[str, str]:
    """Versions of our own environment."""
    found = {"python": platform.python_version(), "machine": _processor()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def show(figures: Iterable[Figure]) -> list[Figure]:
    """Print each figure on stderr as it comes; return them all."""
    kept = []
    for figure in figures:
        print(figure, file=sys.stderr, flush=True)
        kept.append(figure)
    return kept
