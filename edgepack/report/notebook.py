"""What notebooks show of results: plain tables, which take the notebook's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from edgepack.report.figures import base_name
from edgepack.report.verdicts import headline, verdicts

if TYPE_CHECKING:
    from edgepack.report.model import Report


def report_table(report: Report) -> str:
    """The three answers, and what is not met, as HTML."""
    rows = [[v.question, v.answer, v.why] for v in verdicts(report)]
    rows += [[r.name, f"not met: {r.wanted}", r.found] for r in report.requirements if not r.met]
    rows += [["warning", "", warning] for warning in report.warnings]
    title = f"{base_name(report.source.path)} on {report.target}"
    return html_table([title, "", headline(report)], rows)


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML; texts are escaped."""
    head = "".join(f'<th scope="col" style="text-align:left">{escape(text)}</th>' for text in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
