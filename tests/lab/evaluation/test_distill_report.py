"""The rows of a distillation report."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.lab.evaluation.students import line

from allaprima.lab.evaluation.distill import (
    Comparison,
    DistillSettings,
)
from allaprima.lab.evaluation.distill_report import aim_rows, to_html, to_markdown


def test_rows_say_what_must_be_reached() -> None:
    lines = (
        line("base", 50, judge=90.0),
        line("turbo", 4, judge=89.0, diversity=96.0, speed_up=21.0, megabytes=2.0),
        line("turbo", 1, judge=80.0, speed_up=61.0),
        line("rank16", 4, judge=89.2, megabytes=8.0),
        line("uniform", 4, judge=88.0),
        line("sensitivity", 4, judge=89.0),
    )
    found = Comparison(settings=DistillSettings(), lines=lines, prompts=(), left_out=(), seconds=1.0)
    rows = {row.name: row for row in aim_rows(found, "turbo", "turbo")}
    assert rows["turbo, 4 steps, judge behind the base"].value == 1.0
    assert rows["turbo, 4 steps, judge behind the base"].state == "reached"
    assert rows["turbo, 1 step, judge behind the base"].state == "short"
    assert rows["turbo, 4 steps, diversity kept"].state == "aim reached"
    assert rows["turbo, 4 steps, times as fast"].state == "aim reached"
    assert rows["size saved against rank 16 everywhere"].value == 75.0
    assert rows["sensitivity ranks behind uniform ones"].value == -1.0
    when = datetime(2026, 1, 2, tzinfo=UTC)
    assert "turbo, 4" in to_markdown(found, list(rows.values()), when)
    assert to_html(found, list(rows.values()), when).startswith("<!doctype html>")
