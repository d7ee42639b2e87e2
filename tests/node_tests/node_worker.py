"""Judges node tests in a process of its own, so that a runtime's crash ends only that process.

    Judge().verdict("tflite", "test_abs")     None when it is right, else what went wrong

As a program, it reads `route case` lines and answers each with one line of JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import warnings
from pathlib import Path

SECONDS_PER_CASE = 60


class Judge:
    """One worker process, started again after a crash."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[str] | None = None

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def verdict(self, route: str, case: str) -> str | None:
        worker = self._running()
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f"{route} {case}\n")
        worker.stdin.flush()
        ready, _, _ = select.select([worker.stdout], [], [], SECONDS_PER_CASE)
        line = worker.stdout.readline() if ready else ""
        if not line:
            self.close()
            return "the runtime crashed" if ready else "the runtime hangs"
        answer = json.loads(line)
        return None if answer is None else str(answer)

    def _running(self) -> subprocess.Popen[str]:
        if self._worker is None:
            self._worker = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None


def judge(route: str, case: str) -> str | None:
    """None when the outputs are right, else what went wrong in one line."""
    from node_routes import ROUTES
    from node_suite import first_mismatch, load_case

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model, feeds, expected = load_case(case)
            return first_mismatch(ROUTES[route](model, feeds), expected)
    except Exception as problem:  # any failure is a verdict
        return f"{type(problem).__name__}: {problem}".replace("\n", " ")[:400]


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # what runtimes print must not mix with the answers
    for line in sys.stdin:
        route, case = line.split()
        print(json.dumps(judge(route, case)), file=answers, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
