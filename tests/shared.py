"""Real models and data, which are not part of the project: $EDGEPACK_SHARED, or ../shared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EDGEPACK_SHARED") or Path(__file__).parents[2] / "shared")


def shared(path: str) -> Path:
    """The file or folder at `path`; without it the test is skipped."""
    place = SHARED / path
    if not place.exists():
        pytest.skip(f"{place} is not there (set EDGEPACK_SHARED)")
    return place
