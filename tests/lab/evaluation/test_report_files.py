"""What all reports share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.lab.evaluation.quick import evaluate
from tests.tiny import SteadyBase

from allaprima.core.errors import OutputError
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.report import write_report
from allaprima.lab.evaluation.report_files import format_value


def test_a_report_that_cannot_be_written_is_one_sentence(small_judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(evaluate(SteadyBase(), small_judge), tmp_path / "file", datetime.now(UTC))


def test_figures_are_written_with_their_unit() -> None:
    figures = [
        format_value(value, unit)
        for value, unit in ((93.25, "%"), (31.2, "dB"), (0.9412, ""), (-1.24, "points"))
    ]
    assert figures == ["93.2 %", "31.20 dB", "0.941", "-1.2 points"]
    assert format_value(0.0, "pictures") == "0"
    assert format_value(None, "%") == "-"
