"""The slim slice of the parity suite that every run of the tests takes: one case or more of each kind."""

from __future__ import annotations

import pytest
from benchmarks.parity_bench import run_case
from benchmarks.parity_cases import LAYOUTS, all_cases

ALL = list(all_cases())
SLICE = [
    *[case for case in ALL if case.group == "schedulers" and "trailing, as trained, 4 steps" in case.name],
    *[case for case in ALL if case.group == "settings"][::9],
    *[case for case in ALL if case.group == "pictures"][::11],
    *[case for case in ALL if case.group == "loras"][::8],
    *[
        case
        for case in ALL
        if case.layout in ("single file", "scaled fp8", "git-lfs pointers", "pruned file")
    ],
]
REFUSED = {"git-lfs pointers", "pruned file"}


def test_the_suite_has_what_it_promises() -> None:
    assert len(ALL) >= 700
    assert len({(case.group, case.name) for case in ALL}) == len(ALL)
    assert {case.layout for case in ALL} == {None, *LAYOUTS}


@pytest.mark.parametrize("case", SLICE, ids=lambda case: f"{case.group}: {case.name}")
def test_a_case_is_equal_to_stock_or_refused(case: object) -> None:
    outcome = run_case(case)  # type: ignore[arg-type]
    assert outcome.verdict in ("equal", "refused"), outcome.told
    name = outcome.case.name
    if outcome.verdict == "refused":
        assert name in REFUSED or "LMS" in name or "no such class" in name, outcome.told
        assert "expected" in outcome.told or "git lfs pull" in outcome.told
