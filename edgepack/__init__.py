"""edgepack: from a trained model to the edge.

`load`, `inspect`, `check`, `export`, `validate`, `compare` and `targets` are the commands of the
command line as calls; they are imported at first use, so that `import edgepack` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepack.api import check, compare, export, inspect, load, targets, validate

__version__ = "0.1.0"
__all__ = ["__version__", "check", "compare", "export", "inspect", "load", "targets", "validate"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("edgepack.api"), name)
    raise AttributeError(f"module 'edgepack' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
