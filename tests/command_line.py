"""The command line called in this process, or in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgepack import cli

# As from a terminal: whatever runs the tests in the background may have had Ctrl-C ignored.
RUN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from edgepack.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def call(capfd: pytest.CaptureFixture[str], *args: object) -> Result:
    """Run a command in this process; what native libraries print is seen too."""
    capfd.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edgepack", *map(str, args)])
        patch.setattr("signal.signal", lambda *_: None)  # pytest keeps its own handlers
        with pytest.raises(SystemExit) as caught:
            cli.main()
    out, err = capfd.readouterr()
    return Result(int(caught.value.code or 0), out, err)


def spawn(*args: object, prelude: str = "", cwd: Path | None = None) -> Result:
    """Run a command in a new Python, after the statements `prelude`."""
    command = [sys.executable, "-c", prelude + "\n" + RUN, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    return Result(done.returncode, done.stdout, done.stderr)


def assert_refused(result: Result, *words: str) -> None:
    """Exit code 2 and one message that has all `words`, without a traceback."""
    assert result.code == 2, result
    assert result.err.startswith("edgepack: "), result.err
    assert result.err.count("edgepack: ") == 1, result.err
    assert "Traceback" not in result.err
    assert "internal error" not in result.err
    for word in words:
        assert word in result.err, result.err


def placed(folder: Path, name: str, data: bytes) -> Path:
    """The file `folder`/`name` with this content."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path
