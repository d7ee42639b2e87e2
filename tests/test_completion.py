"""What shells complete, asked as bash asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgepack.profiles import target_ids
from tests.command_line import RUN

CASES = {
    "commands": ("edgepack com", "compare"),
    "options": ("edgepack export m.onnx --max-f", "--max-flash"),
    "devices": ("edgepack check m.onnx --target nucleo-l4", "nucleo-l4r5zi"),
    "schemes": ("edgepack check m.onnx --quantize int16", "int16x8"),
}


def completed(line: str) -> list[str]:
    """The words that bash is offered for the last one of `line`."""
    asked = {
        "_EDGEPACK_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(
        command, env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("case", CASES)
def test_the_shell_completes(case: str) -> None:
    line, wanted = CASES[case]
    assert wanted in completed(line)


def test_all_devices_are_offered() -> None:
    assert completed("edgepack targets n") == [i for i in target_ids() if i.startswith("n")]
