"""The pages as headless Chromium shows them; screenshots stay in pytest's temporary folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgepack.report.comparison import exports_of, render_comparison, rows_of
from edgepack.report.page import render_page
from tests.report.samples import ALL, FITS, TOO_LARGE

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("EDGEPACK_CHROMIUM") or shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium on PATH", allow_module_level=True)
EXPORTS = exports_of([(Path("fits"), FITS), (Path("large"), TOO_LARGE)])
PAGES = {name: render_page(report) for name, report in ALL.items()}
PAGES["comparison"] = render_comparison(EXPORTS, Path("comparison.html"))
VIEWS = {
    "light": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}
LEAST_CONTRAST = 4.5  # WCAG 2.2, level AA, text of ordinary size

# Contrast of every visible text with what is painted behind it; SVG text stands on the rectangle
# before it.
CONTRASTS = """() => {
  const parse = (c) => [...c.match(/[\\d.]+/g).map(Number), 1];
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045
    ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      if (e.tagName === "g") return parse(getComputedStyle(e.querySelector("rect")).fill);
      const back = parse(getComputedStyle(e).backgroundColor);
      if (back[3] === 1) return back;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest("script, .skip")) continue;
    if (!e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.closest("svg") ? style.fill : style.color)), light(behind(e))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walk.currentNode.data.trim()]);
  }
  return found;
}"""
# Elements that need a name and have none, and headings that leave a level out.
NAMELESS = """() => {
  const named = (e) => e.getAttribute("aria-label") || e.textContent.trim()
    || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent;
  const bad = [...document.querySelectorAll("a, button, [role=img], [role=region], section, nav")]
    .filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 120));
  for (const svg of document.querySelectorAll("svg"))
    if (!svg.closest("[aria-hidden=true], [role=img]")) bad.push("svg without a name");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) bad.push("an id is there twice");
  let last = 0;
  for (const head of document.querySelectorAll("h1, h2, h3, h4")) {
    const level = Number(head.tagName[1]);
    if (level > last + 1) bad.push(`h${last} then h${level}`);
    last = level;
  }
  return bad;
}"""
FIGURES = """() => [...document.querySelectorAll("data[data-key]")]
  .map((e) => [e.dataset.key, Number(e.value)])"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens one of PAGES in one of VIEWS; what its console says ends the test."""
    said: list[str] = []
    contexts = []

    def opened(name: str, view: str = "light", **options: Any) -> Any:
        contexts.append(browser.new_context(**VIEWS[view], **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda r: said.append(r.url) if r.url.startswith("http") else None)
        file = tmp_path / f"{name}.html"
        file.write_text(PAGES[name], encoding="utf-8")
        page.goto(file.as_uri())
        page.screenshot(path=tmp_path / f"{name}-{view}.png", full_page=True)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not said


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(name: str, view: str, show: Any) -> None:
    page = show(name, view)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= VIEWS[view]["viewport"]["width"]
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert not [(text, ratio) for ratio, text in contrasts if ratio < LEAST_CONTRAST]
    assert page.evaluate(NAMELESS) == []
    assert page.title().startswith("edgepack: ")


@pytest.mark.parametrize("name", ALL)
def test_figures_are_those_of_the_record(name: str, show: Any) -> None:
    shown = show(name).evaluate(FIGURES)
    data = json.loads(ALL[name].to_json())
    for key, value in shown:
        found = data
        for part in key.split("."):
            found = found[part]
        assert found == value, key
    keys = {key for key, _ in shown}
    wanted = {"compute.macs", "compute.params"}
    if name != "bare":
        wanted |= {"memory.arena_bytes", "memory.flash_bytes", "memory.sram_budget_bytes"}
        wanted |= {"accuracy.float", "accuracy.exported.tflite", "files.tflite.bytes"}
    assert keys >= wanted


def test_the_comparisons_figures_are_those_of_the_records(show: Any) -> None:
    shown = dict(show("comparison").evaluate(FIGURES))
    rows = rows_of(EXPORTS)
    expected = {
        f"{row.name}/{i}": value
        for row in rows
        for i, value in enumerate(row.values)
        if value is not None
    }
    assert shown == expected


def test_the_three_answers_are_seen_without_scrolling(show: Any) -> None:
    for view in VIEWS:
        page = show("fits", view)
        cards = page.locator(".card")
        assert cards.count() == 3
        box = cards.nth(2).bounding_box()
        assert box["y"] + box["height"] <= VIEWS[view]["viewport"]["height"]


def test_pointing_at_a_layer_shows_it_everywhere(show: Any) -> None:
    page = show("fits")
    page.locator("#memory rect.step").nth(2).hover()
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert tip.text_content().splitlines() == ["block<2>/Conv2d", "CONV2D", "30.0 KiB live"]
    assert page.locator("#size .tile.on b").text_content() == "block<2>/Conv2d"
    assert page.locator("#graph g.on").count() == 1


def test_tables_sort(show: Any) -> None:
    page = show("too large")
    table = page.locator("#time table")
    cells = table.locator("tbody td.n[data-value]")
    assert cells.all_text_contents() == ["300", "150", "100", "50"]
    table.locator("th button", has_text="instructions").click()
    assert cells.all_text_contents() == ["50", "100", "150", "300"]
    assert table.locator("th[aria-sort=ascending]").count() == 1


def test_the_graph_zooms(show: Any) -> None:
    page = show("fits")
    svg = page.locator("#graph .graph svg")
    before = svg.bounding_box()["width"]
    page.get_by_role("button", name="Larger").click()
    assert svg.bounding_box()["width"] == pytest.approx(1.3 * before, rel=0.01)
    page.get_by_role("button", name="whole").click()
    inside, outside = svg.bounding_box(), page.locator("#graph .graph").bounding_box()
    assert inside["height"] <= outside["height"]


def test_without_scripts_all_figures_and_charts_are_there(show: Any) -> None:
    page = show("fits", java_script_enabled=False)
    for part in ("#memory rect.step", "#size .tile", "#graph g", ".spreads path"):
        assert page.locator(part).count() >= 4
    assert not page.get_by_role("button", name="Larger").is_visible()


def test_it_prints(show: Any, tmp_path: Path) -> None:
    page = show("too large", "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    page.pdf(path=tmp_path / "report.pdf", print_background=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
