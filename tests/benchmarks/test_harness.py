from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.harness import Row, run_stages


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
