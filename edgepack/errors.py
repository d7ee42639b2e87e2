"""The error tree. Everything edgepack raises on purpose derives from `EdgepackError`.

    EdgepackError                 one message a user can act on; exit code 2
    ├── BadInput                  a file, option or array that cannot be used
    │   ├── BadModel              a model file that is damaged, malicious or not understood
    │   ├── BadData               calibration or evaluation data that does not suit the model
    │   └── BadTarget             an unknown target or a profile with a wrong field
    ├── Unsupported               operators or dtypes that have no equivalent; lists them all
    ├── MissingDependency         an optional package is needed; names the extra that brings it
    └── InternalError             a broken invariant of the IR: a defect in edgepack itself

`ValueError` and `TypeError` are left to programmer mistakes in calls of the Python API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


class EdgepackError(Exception):
    """A message for the user: what happened, where (`at`), and what to do next (`hint`)."""

    def __init__(self, message: str, *, at: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.at = at
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.at:
            parts.append(f"  at: {self.at}")
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for programs that read what the command line prints."""
        return {"error": self.message, "at": self.at, "hint": self.hint, "unsupported": []}


class BadInput(EdgepackError):
    """A file, option or array that cannot be used."""


class BadModel(BadInput):
    """A model file that is damaged, malicious or not understood."""


class BadData(BadInput):
    """Calibration or evaluation data that does not suit the model."""


class BadTarget(BadInput):
    """An unknown target id, or a profile with a wrong field."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader, a writer or a target cannot take.

    The fields are the keys of `unsupported` in report.json.
    """

    node: str
    op: str
    dtype: str | None
    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        dtype = f" {self.dtype}" if self.dtype else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.op}{dtype} at {self.node}: {self.reason}{hint}"


class Unsupported(EdgepackError):
    """Operators, dtypes or options that have no equivalent; all of them are listed at once."""

    def __init__(self, what: str, findings: Sequence[Finding], *, hint: str | None = None) -> None:
        self.findings = tuple(findings)
        lines = "".join(f"\n  - {finding}" for finding in self.findings)
        super().__init__(what + lines, hint=hint)

    def to_dict(self) -> dict[str, Any]:
        """Every finding as an object, beside the message."""
        return {**super().to_dict(), "unsupported": [asdict(f) for f in self.findings]}


class MissingDependency(EdgepackError):
    """An optional package is needed for what was asked."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed",
            hint=f"pip install 'edgepack[{extra}]'",
        )


class InternalError(EdgepackError):
    """A broken invariant of the IR: a defect in edgepack itself, not in the user's input."""
