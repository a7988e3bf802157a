"""What commands read and print."""

from __future__ import annotations

import pytest

from allaprima.cli.output import parse_duration
from allaprima.core.errors import UserError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-3m", "30 minutes"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="such as 30m"):
        parse_duration(text)
