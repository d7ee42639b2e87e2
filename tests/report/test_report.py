"""The record behind report.json, and its page."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from edgepack.errors import Finding
from edgepack.report import (
    Accuracy,
    Compute,
    FileInfo,
    Latency,
    LayerInfo,
    Quantization,
    Report,
    Requirement,
    SourceInfo,
)
from edgepack.report.figures import agreement_rows
from edgepack.report.page import render_page

MEMORY = {
    "arena_bytes": 1000, "flash_bytes": 20000, "sram_budget_bytes": 5000,
    "flash_budget_bytes": 100000, "peak_node": "conv", "banks": [],
    "timeline": [{"node": "conv", "op": "CONV_2D", "live_bytes": 900},
                 {"node": "<dense>", "live_bytes": 100}],
}  # fmt: skip
FULL = Report(
    edgepack="0.1.0",
    target="board",
    fits=True,
    source=SourceInfo("net.onnx", "onnx", "ab"),
    quantization=Quantization("int8", "calibration", 100, True, "int8"),
    memory=MEMORY,
    files={"tflite": FileInfo("model.tflite", 10, "cd"), "onnx": None, "c": None},
    compute=Compute(1000, 10),
    unsupported=(Finding("n", "TOPK_V2", "int8", "no kernel"),),
    accuracy=Accuracy(0.9, {"tflite": 0.89}, "top-1", 50, {"tflite": 30.5}),
    agreement={"tflite_vs_onnx_max_lsb": 1.0},
    layers=(LayerInfo("<dense>", "FullyConnected", 10, 40, 33.3, "mse"),),
    latency=Latency("host, LiteRT", "measured", 0.5, "ms", 20),
    latencies=(Latency("host, LiteRT", "measured", 0.5, "ms", 20),),
    requirements=(Requirement("memory", "within", "fits", True),),
    warnings=("take care & look",),
    notes=("note",),
    versions={"python": "3.11"},
)
BARE = Report(
    "0.1.0", "board", None, SourceInfo("m", "onnx", None), Quantization("none", "none"),
    {**MEMORY, "arena_bytes": None, "flash_bytes": None, "peak_node": None, "timeline": []},
    {"tflite": None, "onnx": None, "c": None}, Compute(0, 0),
)  # fmt: skip


@pytest.mark.parametrize("report", [FULL, BARE], ids=["full", "bare"])
def test_json_round_trips(report: Report) -> None:
    again = Report.from_dict(json.loads(report.to_json()))
    assert again.to_dict() == report.to_dict()
    assert again.to_json() == report.to_json()


def test_float_is_the_key_of_the_float_accuracy() -> None:
    assert FULL.to_dict()["accuracy"]["float"] == 0.9
    assert BARE.to_dict()["accuracy"]["float"] is None


def test_figures_that_are_no_numbers_become_null() -> None:
    odd = dataclasses.replace(
        BARE, agreement={"a": float("inf"), "b": float("nan"), "c": float(np.float32(0.5))}
    )
    assert json.loads(odd.to_json())["agreement"] == {"a": None, "b": None, "c": 0.5}
    numpy = dataclasses.replace(BARE, agreement={"d": np.float64(np.inf), "e": np.float32(2)})
    assert json.loads(numpy.to_json())["agreement"] == {"d": None, "e": 2.0}


def test_ok_asks_every_requirement() -> None:
    missed = Requirement("accuracy", ">= 0.9", "0.8", False)
    assert FULL.ok
    assert not dataclasses.replace(FULL, requirements=(*FULL.requirements, missed)).ok


@pytest.mark.parametrize("key", ["source", "files", "layers", "latencies", "accuracy"])
def test_a_report_that_lacks_a_key_is_refused(key: str) -> None:
    data = FULL.to_dict()
    del data[key]
    with pytest.raises(KeyError):
        Report.from_dict(data)


@pytest.mark.parametrize("report", [FULL, BARE], ids=["full", "bare"])
def test_the_page_stands_alone(report: Report) -> None:
    page = render_page(report)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert not re.search(r"<(link|img|iframe)|@import|url\(|fetch\(|<script [^>]*src", page)
    assert "default-src 'none'" in page
    assert page.lstrip().lower().startswith("<!doctype html>")


def test_the_page_escapes_names() -> None:
    page = render_page(FULL)
    assert "<dense>" not in page
    assert "&lt;dense&gt;" in page
    assert "take care &amp; look" in page


def test_the_page_says_what_is_not_met() -> None:
    missed = dataclasses.replace(FULL, requirements=(Requirement("accuracy", "x", "0.1", False),))
    assert "Not all requirements are met" in render_page(missed)
    assert "All requirements are met" in render_page(FULL)


ROWS = {
    "tflite_vs_tflm_max_lsb": (1.0, ("LiteRT vs TFLite Micro", "steps", "1")),
    "tflite_vs_onnx_within_1_lsb": (0.999, ("LiteRT vs ONNX Runtime", "one step", "99.90%")),
    "tflm_vs_onnx_equal": (0.5, ("TFLite Micro vs ONNX Runtime", "equal", "50.00%")),
    "tflite_vs_onnx_top1": (None, ("LiteRT vs ONNX Runtime", "same class", "not measured")),
    "tflite_vs_onnx_max_abs": (0.25, ("LiteRT vs ONNX Runtime", "difference", "0.25")),
}


@pytest.mark.parametrize("key", ROWS)
def test_agreement_in_words(key: str) -> None:
    value, (runtimes, words, shown) = ROWS[key]
    [row] = agreement_rows({key: value})
    assert (row[0], row[2]) == (runtimes, shown)
    assert words in row[1]


def test_the_page_names_operators_and_runtimes() -> None:
    agreeing = dataclasses.replace(FULL, agreement={"tflite_vs_tflm_max_lsb": 1.0})
    page = render_page(agreeing)
    assert "LiteRT vs TFLite Micro" in page
    assert "tflite_vs_tflm" not in page
    assert "fixed point" in page
    assert "CONV_2D" in page
