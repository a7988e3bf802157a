from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from benchmarks import live_shared


@pytest.mark.slow
def test_ratios_against_the_quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in live_shared.FREE:  # put back afterwards
        monkeypatch.setenv(variable, "2")
    live_shared.main(
        weights=write_tiny_vignette(tmp_path / "weights"), keystrokes=3, results=tmp_path / "results"
    )
    assert not any(variable in os.environ for variable in live_shared.FREE)
    (written,) = (tmp_path / "results").glob("*-live-shared.json")
    rows = {row["name"]: row for row in json.loads(written.read_text(encoding="utf-8"))["rows"]}
    assert rows["beside one process, p50"]["must"] == 1.4
    assert rows["on one core, p50"]["unit"] == "x"
    assert all(math.isfinite(row["value"]) for row in rows.values())
