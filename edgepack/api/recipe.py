"""Recipes: export options and compression steps in a TOML file, and steps in one line of text.

quantize = "int8"               # any option of `export`, by its name
calibration = "calibration.npz"

[layer]                         # precision by layer, as with --layer
"features.0" = "float"

[[compress]]                    # steps, in the order they are carried out
technique = "prune"
ratio = 0.3
[compress.layers]               # settings by layer, where the technique has them
"features.3" = 0.1
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput
from edgepack.strict_toml import near

StepsLike = Sequence[str | Mapping[str, Any]] | None


def read_recipe(path: str | Path, known: Sequence[str]) -> dict[str, Any]:
    """Option values by name from the recipe at `path`.

    Raises BadInput when it cannot be read, or has a key that is not `known`.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"cannot read the recipe {path}: {failure}") from None
    except tomllib.TOMLDecodeError as failure:
        raise BadInput(f"the recipe {path} is not valid TOML: {failure}") from None
    for key in found:
        if key not in known:
            raise BadInput(f"{key}: no such option", at=str(path), hint=near(key, known))
    return found


def parse_steps(given: StepsLike) -> tuple[dict[str, Any], ...]:
    """Steps as tables from tables or from texts like `prune,ratio=0.3,criterion=l1`.

    Values are as in TOML; text needs no quotes. Raises BadInput for anything else.
    """
    entries = [given] if isinstance(given, str | Mapping) else list(given or ())
    return tuple(_parse_step(entry) for entry in entries)


def _parse_step(entry: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(entry, Mapping):
        return dict(entry)
    if not isinstance(entry, str):
        raise BadInput(f"a compression step is a text or a table, not {entry!r}")
    name, *pairs = (part.strip() for part in entry.split(","))
    settings: dict[str, Any] = {"technique": name}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--compress is TECHNIQUE,KEY=VALUE,…, not {entry!r}")
        settings[key.strip()] = _parse_value(value.strip())
    return settings


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
