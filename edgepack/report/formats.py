"""The report for continuous integration: Markdown for people, JUnit XML for test reporters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from xml.etree import ElementTree

from edgepack.report.figures import (
    RUNTIMES,
    base_name,
    in_bytes,
    in_decibels,
    in_full,
    in_percent,
    in_time,
)
from edgepack.report.model import Report
from edgepack.report.verdicts import State, headline, verdicts

_ICONS: Final[Mapping[State, str]] = {"good": "✅", "bad": "❌", "doubtful": "⚠️", "open": "ℹ️"}
_WORST: Final = 3
# What XML 1.0 has no way to write.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_markdown(report: Report) -> str:
    """The report as GitHub's Markdown: three answers, what is not met, the figures of the files."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    state: State = "good" if report.ok else "bad"
    yield f"### {_ICONS[state]} {_cell(base_name(report.source.path))} on {_cell(report.target)}"
    yield ""
    yield _cell(headline(report))
    yield ""
    yield "| | | |"
    yield "| --- | --- | --- |"
    for verdict in verdicts(report):
        answer = f"{_ICONS[verdict.state]} {_cell(verdict.answer)}"
        yield f"| {verdict.question} | **{answer}** | {_cell(verdict.why)} |"
    yield ""
    for requirement in report.requirements:
        if not requirement.met:
            wanted, found = _cell(requirement.wanted), _cell(requirement.found)
            yield f"- ❌ **{_cell(requirement.name)}**: wanted {wanted}; {found}"
    for finding in report.unsupported:
        yield f"- ❌ {_cell(str(finding))}"
    for warning in report.warnings:
        yield f"- ⚠️ {_cell(warning)}"
    yield from _figures(report)
    if report.command:
        yield from ("", "<details><summary>To reproduce</summary>", "")
        yield f"{_fence(report.command)}\n{report.command}\n{_fence(report.command)}"
        yield from ("", f"Source SHA-256 `{report.source.sha256 or 'not known'}`", "", "</details>")


def _figures(report: Report) -> Iterator[str]:
    memory = report.memory
    yield from ("", "| figure | value | budget |", "| --- | ---: | ---: |")
    for name, key, budget in (("arena", "arena_bytes", "sram"), ("flash", "flash_bytes", "flash")):
        limit = in_bytes(memory[f"{budget}_budget_bytes"])
        yield f"| {name} | {in_bytes(memory[key])} | {limit} |"
    yield f"| MACs | {in_full(report.compute.macs)} | |"
    for key, share in report.accuracy.exported.items():
        runtime, db = RUNTIMES.get(key, key), report.accuracy.output_sqnr_db.get(key)
        if share is not None:
            yield f"| {report.accuracy.metric or 'accuracy'}, {runtime} | {in_percent(share)} | |"
        if db is not None:
            yield f"| output SQNR, {runtime} | {in_decibels(db)} | |"
    for entry in report.latencies:
        yield f"| {_cell(entry.where)} ({entry.kind}) | {in_time(entry)} | |"
    worst = sorted(
        (layer.sqnr_db, layer.node) for layer in report.layers if layer.sqnr_db is not None
    )
    for db, node in worst[:_WORST]:
        yield f"| worst layer {_cell(node)} | {in_decibels(db)} | |"


def _cell(text: str) -> str:
    """Text that stays text in a table: no line ends, markup or HTML of its own."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_|\[\]~#])", r"\\\1", flat)


def _fence(text: str) -> str:
    """A fence longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def to_junit(report: Report) -> str:
    """JUnit XML: a test case for each requirement and each operator without a kernel."""
    name = _clean(f"edgepack.{report.target}")
    cases = ElementTree.Element("testsuite", name=name)
    for requirement in report.requirements:
        title = f"{requirement.name} {requirement.wanted}"
        case = ElementTree.SubElement(cases, "testcase", classname=name, name=_clean(title))
        if not requirement.met:
            _fail(case, requirement.found)
    for finding in report.unsupported:
        title = f"{finding.op} at {finding.node}"
        case = ElementTree.SubElement(cases, "testcase", classname=name, name=_clean(title))
        _fail(case, str(finding))
    failures = sum(1 for _ in cases.iter("failure"))
    cases.set("tests", str(len(cases)))
    cases.set("failures", str(failures))
    cases.set("errors", "0")
    if report.warnings or report.notes:
        said = [*(f"warning: {w}" for w in report.warnings), *report.notes]
        ElementTree.SubElement(cases, "system-out").text = _clean("\n".join(said))
    suites = ElementTree.Element("testsuites")
    suites.append(cases)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _fail(case: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(case, "failure", message=_clean(text)).text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)


TEXTS: Final[Mapping[str, Callable[[Report], str]]] = {
    "md": to_markdown,
    "json": Report.to_json,
    "junit": to_junit,
}
