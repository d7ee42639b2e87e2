"""Markdown and JUnit XML."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import pytest

from edgepack.errors import Finding
from edgepack.report.formats import TEXTS, to_junit, to_markdown
from tests.report.samples import ALL, FITS, TOO_LARGE


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("form", TEXTS)
def test_every_report_has_every_form(form: str, name: str) -> None:
    assert TEXTS[form](ALL[name]).endswith("\n")


def test_junit_fails_for_what_is_not_met() -> None:
    suite = ElementTree.fromstring(to_junit(TOO_LARGE)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("3", "3")
    failures = [f.get("message") for f in suite.iter("failure")]
    assert failures[0] == "12.0 KiB too much"
    assert "use ArgMax" in str(failures[2])


def test_junit_passes_for_what_is_met() -> None:
    suite = ElementTree.fromstring(to_junit(FITS)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")


def test_names_with_characters_that_xml_lacks() -> None:
    odd = dataclasses.replace(FITS, unsupported=(Finding("a\x00\x1b<&\ud800", "OP", None, "no"),))
    case = ElementTree.fromstring(to_junit(odd)).findall(".//testcase")[-1]
    assert case.get("name") == "OP at a��<&�"


def test_markdown_has_the_answers_and_the_figures() -> None:
    text = to_markdown(FITS)
    assert text.startswith("### ✅ net &amp; co.onnx on board\n")
    assert "| Does it fit? | **✅ It fits** |" in text
    assert "| arena | 48.0 KiB | 240.0 KiB |" in text
    assert "| top-1, LiteRT | 89.50% | |" in text
    assert f"```\n{FITS.command}\n```" in text


def test_markdown_keeps_names_from_being_markup() -> None:
    odd = dataclasses.replace(
        TOO_LARGE, warnings=("a|b\n# c <script>*x*",), command="edgepack export '```'"
    )
    text = to_markdown(odd)
    assert "a\\|b \\# c &lt;script>\\*x\\*" in text
    assert "````\nedgepack export '```'\n````" in text
