"""The benchmark of completed layouts runs and judges what it measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.layout_completion import main


def test_it_times_both_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(prompts=5, results=tmp_path, as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["all words known, zh"]["value"] > 0.5
    assert rows["a prompt, en, p50"]["must"] == 2.0
    assert 0 < rows["a prompt, en, p50"]["value"] <= rows["a prompt, en, p95"]["value"]
