"""The effort that is taken when none is asked for."""

import pytest

from edgepack.api.integer import effort_of
from edgepack.api.options import ExportOptions

CASES = {
    "with data": (dict(calibration="x.npy", per_tensor=True), "int8", 0),
    "per channel": (dict(), "int8", 0),
    "per tensor": (dict(per_tensor=True), "int8", 1),
    "4 bits": (dict(), "w4a8", 1),
    "4 bits with data": (dict(calibration="x.npy"), "w4a8", 0),
    "16 bits": (dict(per_tensor=True), "int16x8", 0),
    "asked for less": (dict(effort=0), "w4a8", 0),
    "asked for more": (dict(effort=2), "int8", 2),
}


@pytest.mark.parametrize("case", CASES)
def test_effort_by_scheme_and_data(case):
    options, scheme, effort = CASES[case]
    assert effort_of(ExportOptions(**options), scheme) == effort
