"""Counts of ONNX backend node tests that come out right, by route."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.measure import run
from benchmarks.places import OURS, PROJECT

_COUNT = re.compile(r"(\d+) of (\d+) (\w+)")
_ROUTES = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}


def nodes() -> Iterator[Figure]:
    """Read, write as TFLite or ONNX, run, compare."""
    script = str(PROJECT / "benchmarks" / "node_tests.py")
    done = run([OURS, script, "--routes", ",".join(_ROUTES)], timeout=1800)
    for line in done.out.splitlines():
        route = line.split()[0]
        for right, total, kind in _COUNT.findall(line):
            what = f"node tests right, {kind} (of {total})"
            yield Figure(what, f"edgepack -> {_ROUTES[route]}", int(right), "")
    if done.err:
        print(done.err[-500:], file=sys.stderr)
