"""Where models, data, caches and the peers' interpreter are; each can be moved by a variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
OURS = sys.executable


class Missing(Exception):
    """Something optional is not here; the message says how to get it."""


def shared(*parts: str) -> Path:
    """A file among the shared models and data (EDGEPACK_SHARED, default ../shared)."""
    root = Path(os.environ.get("EDGEPACK_SHARED") or PROJECT.parent / "shared")
    path = root.joinpath(*parts)
    if not path.exists():
        raise Missing(f"no {Path(*parts)} under {root}: set EDGEPACK_SHARED")
    return path.resolve()


def cache(*parts: str) -> Path:
    """A place for downloads and for what peers write (EDGEPACK_CACHE, default ~/.cache/edgepack).

    Its folder exists afterwards.
    """
    default = Path.home() / ".cache" / "edgepack"
    path = Path(os.environ.get("EDGEPACK_CACHE") or default).joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def peer(module: str, install: str) -> str:
    """The interpreter that has `module`: the first that does of EDGEPACK_PEERS_PYTHON.

    That variable may name several, as PATH does. Raises Missing with what to install.
    """
    given = os.environ.get("EDGEPACK_PEERS_PYTHON") or OURS
    for python in given.split(os.pathsep):
        probe = f"import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)"
        if subprocess.run([python, "-c", probe], capture_output=True).returncode == 0:
            return python
    raise Missing(f"{module} is not installed: pip install {install} (EDGEPACK_PEERS_PYTHON)")
