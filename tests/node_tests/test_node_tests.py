"""The ONNX backend node tests through the reader and each writer, in the runtimes.

Each case is read with all inputs but the first as initializers. A case that fails must be listed in
`unsupported.py`, and one that is listed there must fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import pytest
from node_routes import ROUTES
from node_suite import NoData, all_names, data_dir, first_mismatch, load_case
from node_worker import Judge
from scope import out_of_scope
from unsupported import unsupported


@pytest.fixture(scope="module")
def cases() -> list[str]:
    try:
        names = all_names()
    except NoData as problem:
        pytest.skip(str(problem))
    return [n for n in names if out_of_scope(onnx.load(data_dir() / n / "model.onnx")) is None]


@pytest.fixture
def judge() -> Iterator[Judge]:
    with Judge() as worker:
        yield worker


@pytest.mark.parametrize("route", ROUTES)
def test_every_case_is_right_or_listed(route: str, cases: list[str], judge: Judge) -> None:
    listed = unsupported(route)
    verdicts = {case: judge.verdict(route, case) for case in cases}
    wrong = {c: why for c, why in verdicts.items() if why is not None and c not in listed}
    assert not wrong, "\n".join(f"{case}: {why}" for case, why in wrong.items())
    right = [case for case in listed if verdicts.get(case) is None]
    assert not right, f"listed as unsupported, but right or unknown: {right}"
    assert len(verdicts) - len(listed) > 1150


def test_a_wrong_result_is_a_mismatch(cases: list[str]) -> None:
    _, _, expected = load_case(cases[0])
    assert first_mismatch(expected, expected) is None
    assert first_mismatch([e + 1 for e in expected], expected) == "output 0 has wrong values"
    cut = first_mismatch([e[..., :1] for e in expected], expected)
    assert cut is not None
    assert "should have the shape" in cut


def test_a_crash_is_a_verdict_and_the_worker_is_started_again(
    cases: list[str], judge: Judge
) -> None:
    assert judge.verdict("reference", "test_add") is None
    assert judge.verdict("no such route", cases[0]) == "the runtime crashed"
    assert judge.verdict("reference", "test_add") is None
