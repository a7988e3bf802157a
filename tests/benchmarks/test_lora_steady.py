from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import lora_steady


@pytest.mark.slow
def test_a_merged_lora_adds_no_operation(tmp_path: Path) -> None:
    lora_steady.main(seconds=0.5, results=tmp_path)
    (written,) = tmp_path.glob("*-lora-steady.json")
    rows = {row["name"]: row for row in json.loads(written.read_text(encoding="utf-8"))["rows"]}
    assert rows["operations of a pass"]["value"] > 100
    assert rows["operations after merging, against without"]["value"] == 1.0
    assert rows["steady state after merging"]["must"] == 1.01
    assert rows["rounds"]["value"] >= 4
