"""The record behind report.json; field names are the JSON's keys.

A figure that was not measured is None, never left out and never made up.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgepack.errors import Finding
from edgepack.report.notebook import report_table


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The model file that was read: its path, format and SHA-256 (hex)."""

    path: str
    format: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the model was quantized; `data` is calibration, data-free, source or none.

    `data_free` says what stood in for data.
    """

    scheme: str
    data: str
    calibration_samples: int | None = None
    per_channel: bool | None = None
    io: str | None = None
    data_free: str | None = None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """An exported file, relative to the output folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Compute:
    """Work and size of one inference: multiply-accumulates and weights (elements)."""

    macs: int
    params: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`float` (in Python `float_`) is the source's figure, `exported` has one per format.

    `data_sha256` is the digest of the samples; figures of other samples are not to be compared.
    """

    float_: float | None = None
    exported: Mapping[str, float | None] = field(default_factory=dict)
    metric: str | None = None
    samples: int | None = None
    output_sqnr_db: Mapping[str, float | None] = field(default_factory=dict)
    data_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins of equal width from `low` to `high`: of float numbers, and of quantized ones.

    `float_` is `float` in JSON. Both are of the same sample.
    """

    low: float
    high: float
    float_: tuple[int, ...]
    quantized: tuple[int, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Histogram:
        """The record from its JSON."""
        return cls(data["low"], data["high"], tuple(data["float"]), tuple(data["quantized"]))


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One node as exported; `sqnr_db` compares its output with the float model's.

    Of that output: `range` (lowest, highest), `saturation`, the share (0 to 1) that is clipped, and
    `dead_channels`, how many never change. `scheme` is what the node computes in and `reason` why;
    `remedy` is what would help the worst layers. `alone_db`, measured for mixed precision only, is
    the SQNR of the model's output with nothing but this node quantized. `shape` and `dtype` are
    those of its output, `inputs` names the nodes that it reads from, or the model's inputs.
    `histogram` is there for the layers of the lowest SQNR.
    """

    node: str
    op: str
    macs: int
    weight_bytes: int
    sqnr_db: float | None = None
    range_method: str | None = None
    range: tuple[float, float] | None = None
    saturation: float | None = None
    dead_channels: int | None = None
    scheme: str | None = None
    reason: str | None = None
    remedy: str | None = None
    alone_db: float | None = None
    shape: tuple[int, ...] = ()
    dtype: str | None = None
    inputs: tuple[str, ...] = ()
    histogram: Histogram | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerInfo:
        """The record from its JSON."""
        span, counts = data.get("range"), data.get("histogram")
        parts = {
            "range": None if span is None else (span[0], span[1]),
            "histogram": None if counts is None else Histogram.from_dict(counts),
            "shape": tuple(data.get("shape", ())),
            "inputs": tuple(data.get("inputs", ())),
        }
        return cls(**{**data, **parts})


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one inference takes; `kind` is measured, instructions or estimated.

    `basis` says what an estimate rests on.
    """

    where: str
    kind: Literal["measured", "instructions", "estimated"]
    value: float | None
    unit: str
    runs: int | None = None
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Size and quality of a model at one stage of its compression.

    `form` is what `file_bytes` (of the TFLite file) and `arena_bytes` are those of: float32 before
    quantization. `sqnr_db` compares the outputs with those of the model as it was read;
    `accuracy` is measured where there are labelled data.
    """

    form: str
    params: int
    macs: int
    file_bytes: int | None = None
    arena_bytes: int | None = None
    sqnr_db: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Compression:
    """One technique as it was carried out, with the model before and after it.

    `changed` has a line for each layer, `refused` the layers that it left alone, and why.
    """

    technique: str
    before: Figures
    after: Figures
    changed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Compression:
        """The record from its JSON."""
        lines = {key: tuple(data[key]) for key in ("changed", "refused", "notes")}
        before, after = Figures(**data["before"]), Figures(**data["after"])
        return cls(data["technique"], before, after, **lines)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something the user asked for, and whether it is met."""

    name: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Everything edgepack found out about one model on one target.

    `memory` is `plan.fit.Fit.as_dict()`: arena, flash, budgets, banks and the timeline, in bytes.
    `command` is the shell's line that does it again.
    """

    edgepack: str
    target: str
    fits: bool | None
    source: SourceInfo
    quantization: Quantization
    memory: Mapping[str, Any]
    files: Mapping[str, FileInfo | None]
    compute: Compute
    unsupported: tuple[Finding, ...] = ()
    accuracy: Accuracy = field(default_factory=Accuracy)
    agreement: Mapping[str, float | None] = field(default_factory=dict)
    layers: tuple[LayerInfo, ...] = ()
    latency: Latency | None = None
    latencies: tuple[Latency, ...] = ()
    emulator: Mapping[str, Any] | None = None
    requirements: tuple[Requirement, ...] = ()
    compression: tuple[Compression, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every requirement is met; memory and operators are two unless waived."""
        return all(requirement.met for requirement in self.requirements)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers; infinite and undefined figures become None."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain

    def to_json(self) -> str:
        """The text of report.json."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def _repr_html_(self) -> str:
        """The verdict as a table, for notebooks."""
        return report_table(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The record that `to_dict` wrote. Raises KeyError or TypeError when a key is missing."""
        parts = dict(data)
        parts["source"] = SourceInfo(**data["source"])
        parts["quantization"] = Quantization(**data["quantization"])
        parts["files"] = {k: FileInfo(**v) if v else None for k, v in data["files"].items()}
        parts["compute"] = Compute(**data["compute"])
        parts["unsupported"] = tuple(Finding(**f) for f in data["unsupported"])
        accuracy = dict(data["accuracy"])
        parts["accuracy"] = Accuracy(float_=accuracy.pop("float"), **accuracy)
        parts["layers"] = tuple(map(LayerInfo.from_dict, data["layers"]))
        parts["latency"] = Latency(**data["latency"]) if data["latency"] else None
        parts["latencies"] = tuple(Latency(**entry) for entry in data["latencies"])
        parts["requirements"] = tuple(Requirement(**r) for r in data["requirements"])
        stages = data.get("compression", ())
        parts["compression"] = tuple(map(Compression.from_dict, stages))
        parts["warnings"], parts["notes"] = tuple(data["warnings"]), tuple(data["notes"])
        return cls(**parts)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k).rstrip("_"): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value
