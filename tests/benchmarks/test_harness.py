from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.harness import RESULTS, Row, report, run_stages


def _row(name: str) -> Row:
    return Row(name=name, value=1.0, unit="x")


def test_a_stage_that_fails_keeps_its_rows_and_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> Iterator[Row]:
        yield _row("before")
        raise ValueError("as it happens")

    rows, whole = run_stages([failing, lambda: [_row("other")]])
    assert [row.name for row in rows] == ["before", "other"]
    assert not whole
    assert "as it happens" in capsys.readouterr().err


def test_an_interrupt_ends_all_with_what_there_is() -> None:
    def interrupted() -> Iterator[Row]:
        yield _row("before")
        raise KeyboardInterrupt

    rows, whole = run_stages([interrupted, lambda: [_row("other")]])
    assert [row.name for row in rows] == ["before"]
    assert not whole


def test_a_result_names_the_machine_by_what_it_is_and_not_by_whose_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report("question", [_row("a")], {}, as_json=True, folder=tmp_path / "anna")
    (written,) = (file.read_text() for file in (tmp_path / "anna").iterdir())
    assert "anna" not in written
    assert socket.gethostname() not in written
    assert str(Path.home()) not in written
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"][0]["name"] == "a"


def test_no_result_that_is_kept_holds_a_path() -> None:
    for file in RESULTS.iterdir():
        assert not re.search(r"(?<![\w/])/(home|root|tmp|mnt|var|opt|Users|work)/", file.read_text()), (
            file.name
        )
