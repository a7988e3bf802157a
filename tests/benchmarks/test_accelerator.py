from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import accelerator

ROOT = Path(__file__).parents[2]


def _run(*given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.accelerator", *given]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_an_accelerator_it_says_so(tmp_path: Path) -> None:
    ran = _run("--results", str(tmp_path / "results"))
    assert ran.returncode == 2
    assert ran.stderr.startswith("there is no accelerator here; expected one")
    assert not (tmp_path / "results").exists()


def test_a_number_is_held_against_its_bounds() -> None:
    row = {"value": 9.0, "must": 10.0, "aim": 5.0, "better": "lower"}
    assert accelerator._verdict(row) == "must 10: yes  aim 5: no"
    assert accelerator._verdict({**row, "better": "higher", "must": None}) == "aim 5: yes"


@pytest.mark.slow
def test_a_part_is_run_and_one_for_which_no_time_is_left_is_not(tmp_path: Path) -> None:
    ran = _run("--tiny", "--json", "--only", "memory", "--results", str(tmp_path))
    (part,) = json.loads(ran.stdout.splitlines()[-1])["parts"]
    assert (part["name"], part["outcome"]) == ("memory", "done")
    assert [tmp_path / name for name in part["results"]] == list(tmp_path.glob("*-memory-cap.json"))
    assert "[memory] " in (tmp_path / "accelerator.log").read_text(encoding="utf-8")
    late = _run("--tiny", "--only", "qwen", "--seconds", "1", "--results", str(tmp_path))
    assert late.returncode == 1
    assert "qwen: no time was left, 0 s, no result" in late.stdout
