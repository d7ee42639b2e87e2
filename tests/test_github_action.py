"""The example for GitHub, its steps run as a runner does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.small_models import NET, onnx_bytes

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "examples" / "github-action" / "fits.yml"
BIN = Path(sys.executable).parent
LARGE = NET.replace("[1, 8, 8, 3]", "[1, 1024, 1024, 3]")


def run_steps(folder: Path) -> list[int]:
    """Exit codes of the steps with a script, but for the installation."""
    job = yaml.safe_load(WORKFLOW.read_text())["jobs"]["fits"]
    env = {**os.environ, **job["env"], "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    env["PATH"] = f"{BIN}{os.pathsep}{env['PATH']}"
    codes = []
    for step in job["steps"]:
        if "run" in step and step["name"] != "Install":
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            codes.append(subprocess.run(shell, cwd=folder, env=env, timeout=300).returncode)
    return codes


def repository(folder: Path, text: str) -> Path:
    """A checkout with the model, and one of its base with the small model."""
    for root, model in ((folder, text), (folder / "base", NET)):
        (root / "models").mkdir(parents=True)
        (root / "models" / "net.onnx").write_bytes(onnx_bytes(model))
    return folder


@pytest.mark.skipif(
    not shutil.which("edgepack", path=str(BIN)), reason="edgepack is not installed as a command"
)
@pytest.mark.parametrize(("text", "codes"), [(NET, [0, 0, 0]), (LARGE, [1, 0, 0])])
def test_a_model_that_stops_fitting_fails(text: str, codes: list[int], tmp_path: Path) -> None:
    assert run_steps(repository(tmp_path, text)) == codes
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("### ❌" if codes[0] else "### ✅")
    suite = ElementTree.parse(tmp_path / "fits.xml").find("testsuite")
    assert suite is not None
    assert suite.get("failures") == str(codes[0])
    assert (tmp_path / "fits.html").stat().st_size > 10_000
    assert (tmp_path / "comparison.html").stat().st_size > 10_000
