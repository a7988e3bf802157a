from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from benchmarks import live


@pytest.mark.slow
def test_a_studio_in_its_own_process_has_its_rows(tmp_path: Path) -> None:
    live.main(
        weights=write_tiny_vignette(tmp_path / "weights"),
        keystrokes=4,
        frames=4,
        clients=2,
        client_keystrokes=3,
        memory_frames=4,
        kills=1,
        rounds=2,
        results=tmp_path / "results",
    )
    (written,) = (tmp_path / "results").glob("*-live.json")
    rows = {row["name"]: row for row in json.loads(written.read_text(encoding="utf-8"))["rows"]}
    assert rows["keystroke to frame, p50"]["must"] == 60.0
    assert rows["frames per second, slider"]["value"] > 0
    assert rows["2 typists, errors"]["value"] == rows["2 typists, lost final states"]["value"] == 0
    assert rows["new picture to frame against a keystroke, p50"]["must"] == 1.3
    assert rows["1 kills, gallery entries lost"]["value"] == 0
    assert rows["1 kills, gallery entries broken"]["value"] == 0
    assert all(math.isfinite(row["value"]) for row in rows.values())


@pytest.mark.slow
def test_pictures_alone_are_measured(tmp_path: Path) -> None:
    live.main(
        weights=write_tiny_vignette(tmp_path / "weights"), rounds=2, init=True, results=tmp_path / "results"
    )
    (written,) = (tmp_path / "results").glob("*-live-init.json")
    rows = json.loads(written.read_text(encoding="utf-8"))["rows"]
    assert [row["aim"] for row in rows] == [None, None, None, 1.1, 1.1]
    assert all(math.isfinite(row["value"]) for row in rows)
