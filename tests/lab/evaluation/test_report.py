"""A report holds everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.evaluation.quick import evaluate
from tests.tiny import SteadyBase

from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.report import write_report


def test_a_report_holds_all_rows_prompts_and_pictures(small_judge: Judge, tmp_path: Path) -> None:
    evaluation = evaluate(SteadyBase(), small_judge)
    report = write_report(evaluation, tmp_path / "results", datetime(2030, 4, 5, 6, 7, tzinfo=UTC))
    assert report.html.name == "2030-04-05-0607-vignette.html"
    markdown, html = report.markdown.read_text(encoding="utf-8"), report.html.read_text(encoding="utf-8")
    data = json.loads(report.json.read_text(encoding="utf-8"))
    assert [row["name"] for row in data["rows"]] == [row.name for row in evaluation.rows]
    for row in evaluation.rows:
        assert f"| {row.name} |" in markdown
        assert row.name in html
    assert html.count("data:image/jpeg;base64,") == len(evaluation.shown) == 12
    assert "http" not in html
    assert all(shown.answer.ask.prompt in markdown for shown in evaluation.shown)
