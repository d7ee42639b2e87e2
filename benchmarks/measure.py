"""Whole processes measured from outside: wall time and peak memory; pairs in one run."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.places import PROJECT

LAUNCHER = Path(__file__).with_name("launch.py")
_LAST = 600


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds of wall time and of processor time, peak resident MB (1e6 bytes)."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The object on the last line of its output."""
        return json.loads(self.out.strip().splitlines()[-1])


class Failed(Exception):
    """A measured process ended with an error; the message has its last words."""


def run(
    argv: Sequence[str], timeout: float = 600, environment: Mapping[str, str] | None = None
) -> Run:
    """Run a command and measure it; `environment` has variables besides ours.

    Raises Failed unless it ends with 0 or 1 (not met).
    """
    with tempfile.TemporaryDirectory() as folder:
        result, out, err = (Path(folder) / name for name in ("result", "out", "err"))
        command = [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *argv]
        with out.open("w") as stdout, err.open("w") as stderr:
            subprocess.run(
                command, stdout=stdout, stderr=stderr, cwd=PROJECT, timeout=timeout, check=True,
                env={**_environment(), **(environment or {})},
            )  # fmt: skip
        done = Run(**json.loads(result.read_text()), out=out.read_text(), err=err.read_text())
    if done.code not in (0, 1) or (done.code == 1 and "Traceback" in done.err):
        raise Failed(f"{' '.join(argv[:2])} ended with {done.code}: {_last(done)}")
    return done


def _environment() -> dict[str, str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **quiet}


def _last(done: Run) -> str:
    return (done.err.strip() or done.out.strip())[-_LAST:]


def paired(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[Run]]:
    """Run the commands by turns, A B A B, after one unmeasured round of each.

    What fails in that first round is left out, and its entry is empty.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    able = {name: argv for name, argv in commands.items() if _works(argv)}
    for _ in range(repeats):
        for name, argv in able.items():
            with contextlib.suppress(Failed):
                runs[name].append(run(argv))
    return runs


def _works(argv: Sequence[str]) -> bool:
    try:
        run(argv)
    except Failed as problem:
        print(f"    {problem}", flush=True)
        return False
    return True


def median_seconds(runs: Sequence[Run]) -> float:
    """The median wall time."""
    return statistics.median(r.seconds for r in runs)


def median_cpu(runs: Sequence[Run]) -> float:
    """The median processor time, which other work on the machine does not lengthen."""
    return statistics.median(r.cpu_seconds for r in runs)


def median_peak(runs: Sequence[Run]) -> float:
    """The median peak memory in MB."""
    return statistics.median(r.peak_mb for r in runs)
