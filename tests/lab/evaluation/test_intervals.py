"""Intervals against their published values."""

from __future__ import annotations

import pytest

from allaprima.lab.evaluation.intervals import newcombe_interval, wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), "Two-sided confidence intervals", table I
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_has_its_published_values(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def test_without_trials_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_right_than_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 right of 2"):
        wilson_interval(3, 2)


def test_newcombe_interval_has_its_published_values() -> None:
    # Newcombe (1998), "Interval estimation for the difference", table II, method 10: 56/70 - 48/80
    assert newcombe_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
