from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from allaprima.paint.bases.loading import load_base
from allaprima.paint.memory.forecast import STAGES, forecast
from allaprima.paint.memory.process_memory import resident_bytes
from benchmarks import hollow, memory


def test_a_hollow_checkpoint_is_large_and_takes_no_room(tmp_path: Path) -> None:
    folder = hollow.write_hollow(tmp_path / "hollow", "sdxl", "medium", torch.float16)
    files = [file.stat() for file in folder.glob("*/*.safetensors")]
    assert sum(file.st_size for file in files) > 2**30
    assert sum(file.st_blocks * 512 for file in files) < 2**24
    cpu = torch.device("cpu")
    base = load_base(str(folder), device=cpu, dtype=torch.float32, absent=STAGES)
    weights = sum(weight.nbytes for network in base.modules().values() for weight in network.parameters())
    others = resident_bytes()  # what this process holds for other tests
    whole, _, turns = forecast(str(folder), width=64, height=64, device=cpu, dtype=torch.float32, held=others)
    assert turns.peak_bytes < whole.peak_bytes
    assert weights < whole.peak_bytes < weights + 2 * 2**30


@pytest.mark.slow
def test_every_plan_has_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--full-size", "sdxl", "--size", "tiny", "--side", "64", "--results", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", ["memory", *given])
    memory.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    for plan in ("resident", "resident, tiled", "turns, tiled"):
        row = rows[f"sdxl tiny at 64, {plan}: forecast is off by"]
        assert (row["unit"], row["must"], row["better"]) == ("%", 10.0, "lower")
        assert 0 <= row["value"] < 100
    assert 0 < rows["sdxl tiny at 1024, decode in tiles / whole"]["value"] < 1
