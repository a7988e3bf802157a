"""The rows: right is right, what the judge gets wrong too often is silent, states follow from the bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lab.evaluation.verdicts import ALL, CAR, CAT, GOOD, SCENE, answer

from allaprima.lab.evaluation.accuracy import ATTRIBUTES, Attribute, Tally, compare
from allaprima.lab.evaluation.judge import Verdict
from allaprima.lab.evaluation.rows import ReportRow, gap_row, painting_rows, rate_row


def test_a_perfect_verdict_is_right_in_everything() -> None:
    assert answer().all_right(ATTRIBUTES)
    assert answer().alone
    assert all(counted.right == counted.total > 0 for counted in compare(SCENE, GOOD).values())


@pytest.mark.parametrize(
    ("verdict", "wrong"),
    [
        (replace(GOOD, things=(replace(CAT, count=3), CAR)), {"count"}),
        (replace(GOOD, things=(replace(CAT, accessory=None), CAR)), {"accessory"}),
        (replace(GOOD, things=(CAT, replace(CAR, kind="bus"))), {"kind", "count", "accessory", "side"}),
        (replace(GOOD, things=(CAR, CAT)), {"side"}),
        (replace(GOOD, place="lake"), {"place"}),
        (replace(GOOD, hour="day", weather="fog"), {"hour", "weather"}),
    ],
)
def test_each_error_is_an_error_of_its_attribute(verdict: Verdict, wrong: set[Attribute]) -> None:
    assert {name for name in ATTRIBUTES if not answer(verdict).right(name)} == wrong


def test_nothing_is_right_in_a_broken_picture() -> None:
    assert not any(answer(fault="black").right(name) for name in ATTRIBUTES)


def test_rates_carry_their_interval() -> None:
    row = rate_row("x", [True] * 5 + [False] * 5, must=40, aim=60, reported=ALL)
    assert (row.value, row.low, row.high) == pytest.approx((50, 23.66, 76.34), abs=0.01)
    assert (row.state, row.total) == ("reached", 10)
    assert rate_row("x", [], must=40, reported=ALL).state == "not measured"


@pytest.mark.parametrize(
    ("unit", "value", "state"),
    [("%", 95, "aim reached"), ("%", 80, "reached"), ("%", 60, "short"), ("%", None, "not measured")],
)
def test_more_is_better_for_rates(unit: str, value: float | None, state: str) -> None:
    assert ReportRow(name="x", unit=unit, must=70, aim=90, value=value).state == state  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "state"), [(-3, "aim reached"), (3, "reached"), (4.5, "short")])
def test_less_is_better_for_gaps(value: float, state: str) -> None:
    assert ReportRow(name="x", unit="points", must=4, aim=1, value=value).state == state


def test_gaps_are_the_first_less_the_second() -> None:
    row = gap_row(
        "x", Tally(right=9, total=10), Tally(right=7, total=10), must=4, aim=1, needs=(), reported=ALL
    )
    assert row.value == pytest.approx(20)
    assert row.low is not None
    assert row.high is not None
    assert row.low < 20 < row.high


def test_broken_pictures_are_counted() -> None:
    rows = {row.name: row for row in painting_rows([answer(), answer(fault="nan")], ALL)}
    assert rows["black, NaN or constant pictures"].value == 1
    assert rows["black, NaN or constant pictures"].state == "short"
