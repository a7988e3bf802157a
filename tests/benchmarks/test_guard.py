from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from allaprima.paint.painter import Painter
from benchmarks import guard


def test_every_base_has_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    guard.main(
        pictures=2,
        steps=1,
        runs=2,
        precision="fp32",
        weights=weights,
        results=tmp_path / "results",
        as_json=True,
    )
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    for name in ("Vignette", "tiny Qwen-Image"):
        for what in ("black", "errors"):
            row = rows[f"{name}, {what} of 2"]
            assert (row["value"], row["must"], row["better"]) == (0, 0, "lower")
        assert rows[f"{name}, rescues"]["value"] == 0
        assert rows[f"{name}, step with guard / without"]["value"] > 1
        assert rows[f"{name}, picture with guard / without"]["value"] > 0


def test_errors_are_counted(tmp_path: Path) -> None:
    painter = Painter.load(folder=write_tiny_vignette(tmp_path, broken=True), device="cpu")
    assert guard.watch(painter, painter.request(prompt="cat", steps=1), 3) == {"errors": 3}
    assert (
        guard.watch(replace(painter, guarded=False), painter.request(prompt="cat", steps=1), 1)["errors"] == 1
    )
