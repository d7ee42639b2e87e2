import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_operators_page_is_current():
    command = [sys.executable, "docs/generate.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_readme_is_whole_and_names_only_what_exists():
    text = (ROOT / "README.md").read_text()
    assert not re.search(r"@[A-Z]+@", text)
    named = re.findall(r"\b(?:docs/)?[A-Za-z]+\.md\b", text)
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
