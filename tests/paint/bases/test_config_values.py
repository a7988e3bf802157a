from __future__ import annotations

import pytest

from allaprima.paint.bases.config_values import is_number, read_positive, read_whole


def test_numbers_are_finite_and_no_truth_values() -> None:
    assert is_number(3)
    assert is_number(-0.5)
    assert not any(map(is_number, (True, None, "3", float("nan"), float("inf"), 10**400)))


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert read_whole("size", 8.0, 16) == 8
    for value in (0, 17, 8.5, "8"):
        with pytest.raises(ValueError, match=r"got size .*; expected a whole number from 1 to 16"):
            read_whole("size", value, 16)


def test_nothing_positive_is_zero() -> None:
    assert read_positive("scale", 1) == 1.0
    with pytest.raises(ValueError, match="got scale 0; expected a number above 0"):
        read_positive("scale", 0)
