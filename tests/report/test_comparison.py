"""Exports side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import edgepack
from edgepack.errors import BadInput
from edgepack.report.comparison import exports_of, render_comparison, rows_of
from tests.command_line import assert_refused, call
from tests.report.samples import BARE, FITS, TOO_LARGE
from tests.small_models import save_onnx


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders of the same name with a report each."""
    found = []
    for name, report in (("one", FITS), ("two", TOO_LARGE)):
        folder = tmp_path / name / "build"
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(report.to_json())
        (folder / "report.html").write_text("")
        found.append(folder)
    return found


def test_labels_are_as_long_as_they_must_be(folders: list[Path]) -> None:
    found = exports_of([(folders[0], FITS), (folders[1], TOO_LARGE)])
    assert [e.label for e in found] == ["one/build", "two/build"]
    found = exports_of([(folders[0], FITS), (folders[1].parent, TOO_LARGE)])
    assert [e.label for e in found] == ["build", "two"]
    assert len(exports_of([(folders[0], FITS), (folders[0], FITS)])) == 2


def test_rows_have_the_reports_figures_and_their_best() -> None:
    leaner = dataclasses.replace(
        FITS,
        memory={**FITS.memory, "arena_bytes": 24 * 1024},
        accuracy=dataclasses.replace(FITS.accuracy, exported={"tflite": 0.8}),
    )
    exports = exports_of([(Path("a"), FITS), (Path("b"), leaner), (Path("c"), BARE)])
    rows = {row.name: row for row in rows_of(exports)}
    arena, accuracy = rows["arena"], rows["accuracy, LiteRT"]
    assert (arena.values, arena.best) == ((48 * 1024, 24 * 1024, None), {1})
    assert arena.change(1) == "-50.0%"
    assert (accuracy.best, accuracy.change(1)) == ({0}, "-9.50 points")
    assert accuracy.shown == ("89.50%", "80.00%", "–")
    assert rows["RAM budget"].best == frozenset()
    assert rows["model.tflite"].best == frozenset()
    assert "model_c" not in rows


def test_the_page_links_to_the_exports_pages(folders: list[Path], tmp_path: Path) -> None:
    exports = exports_of([(folders[0], FITS), (folders[1], BARE)])
    page = render_comparison(exports, tmp_path / "pages" / "all.html")
    assert '<a href="../one/build/report.html">one/build</a>' in page


def test_compare_on_the_command_line(
    folders: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "all.html"
    done = call(capfd, "compare", *folders, "--out", page)
    assert done.code == 0
    assert "one/build" in done.out
    assert "48.0 KiB" in done.out
    assert page.is_file()
    found = call(capfd, "compare", *folders, "--out", page, "--json").json
    assert [e["report"] for e in found["exports"]] == [FITS.to_dict(), TOO_LARGE.to_dict()]
    arena = next(row for row in found["rows"] if row["name"] == "arena")
    assert arena["values"] == [48 * 1024, 48 * 1024]


def test_compare_in_python(folders: list[Path]) -> None:
    found = edgepack.compare(*folders)
    assert [e.report.target for e in found.exports] == ["board", "smaller"]
    assert "<td" in found._repr_html_()
    with pytest.raises(BadInput, match="two or more"):
        edgepack.compare(folders[0])


def test_what_compare_refuses(folders: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(call(capfd, "compare", folders[0]), "two or more")
    assert_refused(call(capfd, "compare", *folders, "--out", folders[0]), "is a folder")
    assert_refused(call(capfd, "compare", folders[0], folders[0] / "no"), "does not exist")


FORMS = {"md": "### ❌", "json": '{\n  "edgepack"', "junit": "<?xml"}


@pytest.mark.parametrize("form", FORMS)
def test_report_prints_other_forms(
    form: str, folders: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = call(capfd, "report", folders[1], "--format", form)
    assert done.code == 0
    assert done.out.startswith(FORMS[form])
    saved = tmp_path / "check.json"
    saved.write_text(TOO_LARGE.to_json())
    assert call(capfd, "report", saved, "--format", form).out == done.out


def test_a_page_of_what_check_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "check.json"
    saved.write_text(TOO_LARGE.to_json())
    assert call(capfd, "report", saved).code == 0
    assert "TOPK_V2" in (tmp_path / "check.html").read_text(encoding="utf-8")


def test_what_report_refuses(folders: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(call(capfd, "report", folders[0], "--format", "pdf"), "html, md, json, junit")
    mixed = call(capfd, "report", folders[0], "--format", "md", "--json")
    assert_refused(mixed, "exclude each other")
    (folders[0] / "other.json").write_text("[1]")
    assert_refused(call(capfd, "report", folders[0] / "other.json"), "damaged")


def test_notebooks_show_the_verdict() -> None:
    shown = TOO_LARGE._repr_html_()
    assert "It does not fit" in shown
    assert "net &amp; co.onnx on smaller" in shown


def test_notebooks_show_layers(tmp_path: Path) -> None:
    shown = edgepack.inspect(save_onnx(tmp_path))._repr_html_()
    assert "<td" in shown
    assert "FullyConnected" in shown
