"""Durations, limits and text as every command takes and gives them."""

from __future__ import annotations

import json

import pytest

from allaprima.cli.output import check_memory, parse_duration, print_json
from allaprima.core.errors import UserError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-3m", "30 minutes"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="such as 30m"):
        parse_duration(text)


@pytest.mark.parametrize("gib", [0.0, -1.0, 2.0**20, float("nan")])
def test_a_limit_of_memory_that_is_none_is_refused(gib: float) -> None:
    check_memory(None)
    check_memory(0.5)
    with pytest.raises(UserError, match="expected more than 0 GiB"):
        check_memory(gib)


def test_json_is_one_line_that_no_terminal_acts_on(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"prompt": "猫\x1b[31m\u202e", "half": "\ud800"}
    print_json(data)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "猫" in line
    assert all(char == "\n" or char.isprintable() for char in line)
    assert json.loads(line) == data
