"""What a user waits for before anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.measure import median_peak, median_seconds, paired
from benchmarks.places import OURS

PROGRAM = str(Path(OURS).with_name("edgepack"))
REPEATS = 9


def startup() -> Iterator[Figure]:
    """The help page and the bare import, beside an empty interpreter."""
    runs = paired(
        {
            "python -c pass": (OURS, "-c", "pass"),
            "edgepack --help": (PROGRAM, "--help"),
            "import edgepack": (OURS, "-c", "import edgepack"),
            "edgepack targets": (PROGRAM, "targets", "--json"),
        },
        REPEATS,
    )
    for what, found in runs.items():
        if found:
            note = f"{median_peak(found):.0f} MB"
            yield Figure(what, "edgepack", median_seconds(found), "s", note)
