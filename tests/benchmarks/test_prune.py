"""What results stay: the newest figure of each question on each kind of machine, and no committed HTML."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from benchmarks.harness import RESULTS
from benchmarks.prune import find_replaced, main
from tests.source import ROOT

AMD = {"cpu": "AMD EPYC", "cpu_flags": ["avx2"], "gpu": None}
WIDE = {"cpu": "AMD EPYC", "cpu_flags": ["avx2", "avx512f"], "gpu": None}


def write(folder: Path, stem: str, rows: str, machine: Mapping[str, object] | None = None) -> None:
    result = {
        "question": stem.split("-")[-1],
        "machine": machine or AMD,
        "rows": [{"name": name} for name in rows],
    }
    (folder / f"{stem}.json").write_text(json.dumps(result), encoding="utf-8")


def test_the_committed_results_need_no_pruning() -> None:
    assert list(find_replaced(RESULTS)) == [], "run python -m benchmarks.prune"


def test_html_is_not_committed() -> None:
    assert "/benchmarks/results/*.html" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_result_stays_while_it_holds_a_figure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "2026-01-01-000000-live", "ab")
    (tmp_path / "2026-01-01-000000-live.md").touch()
    write(tmp_path, "2026-01-02-000000-live", "abc")
    write(tmp_path, "2026-01-03-000000-live", "a")  # b and c were not measured again
    write(tmp_path, "2026-01-01-000000-paint", "a")  # another question
    write(tmp_path, "2026-01-01-000001-live", "a", WIDE)  # another kind of machine
    gone = {"2026-01-01-000000-live.json", "2026-01-01-000000-live.md"}
    assert {path.name for path in find_replaced(tmp_path)} == gone

    monkeypatch.setattr(sys, "argv", ["prune", "--check", "--results", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert len(list(tmp_path.iterdir())) == 6
    monkeypatch.setattr(sys, "argv", ["prune", "--results", str(tmp_path)])
    main()
    assert not gone & {path.name for path in tmp_path.iterdir()}
    assert len(capsys.readouterr().out.splitlines()) == 4
