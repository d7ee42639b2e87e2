"""Three answers in a few words."""

from __future__ import annotations

import dataclasses

import pytest

from edgepack.report import Accuracy, Latency, Report, Requirement
from edgepack.report.verdicts import headline, verdicts
from tests.report.samples import BARE, FITS, TOO_LARGE

HOST = Latency("host, LiteRT", "measured", 0.5, "ms")
COUNTED = Latency("emulator, Cortex-M4 in unicorn", "instructions", 17_492_388, "instructions")
ESTIMATE = Latency("Board", "estimated", 225.943, "ms")
DEVICE = Latency("pi@board", "measured", 8.25, "ms")
TIMES = {
    "the device before all": ((HOST, ESTIMATE, DEVICE), "8.25 ms", "pi@board"),
    "an estimate before counts": ((HOST, COUNTED, ESTIMATE), "226 ms", "estimated for Board"),
    "counts before this machine": ((HOST, COUNTED), "17.5 M instructions", "counted in emulator"),
    "this machine at last": ((HOST,), "0.5 ms", "not the device"),
    "nothing": ((), "12.5 M MACs", "edgepack validate"),
}


@pytest.mark.parametrize("case", TIMES)
def test_the_time_is_that_nearest_to_the_device(case: str) -> None:
    latencies, answer, why = TIMES[case]
    fast = verdicts(dataclasses.replace(FITS, latencies=latencies))[2]
    assert (fast.state, fast.answer) == ("open", answer)
    assert why in fast.why


def scored(exported: float, *requirements: Requirement) -> Report:
    found = Accuracy(0.9, {"tflite": exported, "onnx": 0.9}, "top-1", 500)
    return dataclasses.replace(FITS, accuracy=found, requirements=requirements)


ASKED = Requirement("accuracy", ">= 0.95", "0.9", False)
DROP = Requirement("accuracy drop", "<= 0.3", "0.2", True)
ACCURACIES = {
    "near float": (scored(0.895), "good", "89.50% top-1", "0.50 points below float's 90.00%"),
    "far from float": (scored(0.7), "doubtful", "70.00% top-1", "20.00 points below"),
    "above float": (scored(0.9), "good", "90.00% top-1", "as float"),
    "what was asked counts": (scored(0.9, ASKED), "bad", "90.00% top-1", "as float"),
    "a drop that was allowed": (scored(0.7, DROP), "good", "70.00% top-1", "20.00 points"),
    "no labels": (
        dataclasses.replace(FITS, accuracy=Accuracy(output_sqnr_db={"tflite": 30.55})),
        "open", "30.6 dB", "no labelled data",
    ),
    "nothing": (BARE, "open", "Not measured", "--eval"),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCURACIES)
def test_accuracy_in_words(case: str) -> None:
    report, state, answer, why = ACCURACIES[case]
    accurate = verdicts(report)[1]
    assert (accurate.state, accurate.answer) == (state, answer)
    assert why in accurate.why


def test_what_does_not_fit_says_by_how_much() -> None:
    found = dataclasses.replace(TOO_LARGE, unsupported=())
    fits = verdicts(found)[0]
    assert (fits.state, fits.answer) == ("bad", "It does not fit")
    assert fits.why == "12.0 KiB too much RAM, 40.0 KiB too much flash"


def test_operators_without_kernels_are_named() -> None:
    found = dataclasses.replace(FITS, fits=False, unsupported=TOO_LARGE.unsupported)
    fits = verdicts(found)[0]
    assert (fits.state, fits.answer) == ("bad", "It does not run there")
    assert "TOPK_V2" in fits.why


def test_the_headline_tells_what_was_waived() -> None:
    assert headline(FITS) == "All requirements are met."
    assert headline(TOO_LARGE) == "Not all requirements are met: memory, operators."
    assert "--allow-misfit" in headline(dataclasses.replace(TOO_LARGE, requirements=()))
