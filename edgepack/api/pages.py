"""Pages and texts made of reports that were written earlier, and exports side by side."""

from __future__ import annotations

from pathlib import Path

from edgepack.api.folder import replace_texts
from edgepack.api.validation import parse_report, read_report
from edgepack.errors import BadInput
from edgepack.report import Report
from edgepack.report.comparison import Comparison, exports_of, render_comparison
from edgepack.report.page import render_page


def load_report(place: str | Path) -> Report:
    """The report of an exported folder, or that in a file of what `check --json` printed.

    Raises BadInput when there is none or it is damaged.
    """
    path = Path(place)
    return parse_report(path) if path.is_file() and path.suffix == ".json" else read_report(path)


def rewrite_page(place: str | Path) -> tuple[Report, Path]:
    """Write report.html anew from report.json; return the report and the page's path.

    For a file of `check --json` the page is beside it, with its name.
    """
    path = Path(place)
    report = load_report(path)
    page = path.with_suffix(".html") if path.is_file() else path / "report.html"
    replace_texts({page: render_page(report)})
    return report, page


def compare(*places: str | Path, out: str | Path | None = None) -> Comparison:
    """Exports side by side: folders, or files of what `check --json` printed; at least two.

    `out` is where to write the page, if anywhere. Raises BadInput for fewer, and what
    `load_report` raises.
    """
    if len(places) < 2:
        raise BadInput("compare takes two or more exports", hint="edgepack compare build-a build-b")
    found = Comparison(exports_of([(Path(p), load_report(p)) for p in places]))
    if out is not None:
        page = Path(out)
        if page.is_dir():
            raise BadInput(f"{page} is a folder", hint=f"--out {page / 'comparison.html'}")
        replace_texts({page: render_comparison(found.exports, page)})
    return found
