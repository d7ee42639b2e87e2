"""Counts the ONNX backend node tests that each route gets right.

    python benchmarks/node_tests.py [--routes reference,tflite,onnx] [--match TEXT] [--failures]

The lists of cases are read from EDGEPACK_SHARED (data/onnx_node/core.json and in_scope.json) or, in
their absence, are all the cases that ship with onnx.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "node_tests"))


def case_lists() -> dict[str, list[str]]:
    shared = Path(os.environ.get("EDGEPACK_SHARED") or HERE.parent.parent / "shared")
    folder = shared / "data" / "onnx_node"
    if folder.is_dir():
        return {n: json.loads((folder / f"{n}.json").read_text()) for n in ("core", "in_scope")}
    from node_suite import all_names

    return {"all": all_names()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", default="reference,tflite,onnx")
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--failures", action="store_true", help="print each failure")
    options = parser.parse_args()
    from node_worker import Judge

    lists = {key: [n for n in names if options.match in n] for key, names in case_lists().items()}
    cases = sorted({name for names in lists.values() for name in names})
    for route in options.routes.split(","):
        start = time.perf_counter()
        with Judge() as judge:
            verdicts = {case: judge.verdict(route, case) for case in cases}
        seconds = time.perf_counter() - start
        counts = ", ".join(
            f"{sum(verdicts[n] is None for n in names)} of {len(names)} {key}"
            for key, names in lists.items()
        )
        print(f"{route:10} {counts}  ({seconds:.0f} s)")
        if options.failures:
            report(verdicts)


def report(verdicts: dict[str, str | None]) -> None:
    reasons = collections.defaultdict(list)
    for case, problem in verdicts.items():
        if problem is not None:
            reasons[problem].append(case.removeprefix("test_"))
    for problem, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"  {len(names):4} {problem}\n         {' '.join(names)}")


if __name__ == "__main__":
    main()
