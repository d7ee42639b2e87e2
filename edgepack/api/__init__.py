"""The Python API: each command of the command line as one call."""

from edgepack.api.checking import check
from edgepack.api.exporting import export
from edgepack.api.inspection import Inspection, inspect
from edgepack.api.options import ExportOptions
from edgepack.api.pages import compare, load_report, rewrite_page
from edgepack.api.source import load
from edgepack.api.validation import validate
from edgepack.profiles import list_targets as targets

__all__ = [
    "ExportOptions",
    "Inspection",
    "check",
    "compare",
    "export",
    "inspect",
    "load",
    "load_report",
    "rewrite_page",
    "targets",
    "validate",
]
