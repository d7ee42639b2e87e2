import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_operators_page_is_current():
    command = [sys.executable, "docs/generate.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
