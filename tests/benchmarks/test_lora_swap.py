from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from benchmarks.harness import drawn_between
from benchmarks.lora_networks import build, targets

from benchmarks import lora_swap


@pytest.mark.slow
def test_every_row_of_the_table_is_there_and_nothing_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # where nobody looks on, no bar is drawn
    monkeypatch.setenv("TERM", "xterm")
    lora_swap.main(
        size="tiny", rank=16, side=64, runs=1, passes=1, swaps=4, num_files=3,
        backend="eager", results=tmp_path, as_json=True,
    )  # fmt: skip
    captured = capsys.readouterr()
    for stage in ("diffusers", "the rack", "passes", "memory", "recompilations"):
        assert stage in captured.err
    rows = {row["name"]: row for row in json.loads(captured.out.splitlines()[-1])["rows"]}
    bounds = {name: (row["must"], row["aim"]) for name, row in rows.items() if row["must"] is not None}
    assert bounds == {
        "swap to a registered LoRA": (20, 3),
        "swap out of a merge": (20, 3),
        "swap to a LoRA just dropped in": (120, 50),
        "the same, with no idle time before": (120, 50),
        "the same, the first file of its layout": (120, 50),
        "the same, kohya's layout with alphas": (120, 50),
        "against diffusers load": (50, 300),
        "steady state after merging": (1.01, 1.0),
        "before merging": (1.10, 1.04),
        "A, B, A and detach: what differs": (0, None),
        "4 swaps over 3 files: growth": (1, 0),
        "recompiles over 100 swaps": (0, 0),
    }
    assert rows["A, B, A and detach: what differs"]["value"] == 0
    assert rows["recompiles over 100 swaps"]["value"] == 0


def test_sdxl_has_560_attention_layers() -> None:
    attention = targets(build("attention", torch.device("meta"), torch.float32))
    assert len(attention) == 560
    assert sum(num_out * num_in for num_out, num_in in attention.values()) == 955_187_200


def test_the_bar_is_drawn_when_it_is_advanced_and_at_no_other_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    threads = threading.active_count()
    with drawn_between("passes", 2) as advance:
        assert threading.active_count() == threads
        capsys.readouterr()
        advance()
        drawn = capsys.readouterr()
    assert "passes" in drawn.err
    assert "1/2" in drawn.err
    assert drawn.out == ""
