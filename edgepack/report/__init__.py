"""The report: one frozen record, its JSON and its HTML page."""

from edgepack.report.model import (
    Accuracy,
    Compression,
    Compute,
    Figures,
    FileInfo,
    Histogram,
    Latency,
    LayerInfo,
    Quantization,
    Report,
    Requirement,
    SourceInfo,
)

__all__ = [
    "Accuracy",
    "Compression",
    "Compute",
    "Figures",
    "FileInfo",
    "Histogram",
    "Latency",
    "LayerInfo",
    "Quantization",
    "Report",
    "Requirement",
    "SourceInfo",
]
