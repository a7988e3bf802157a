"""Checkpoints: cut ones are named, and a kill leaves a whole one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.lab.training.line import Line, config, fresh

from allaprima.core.errors import WeightsError
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.lab.training.loop import train


def test_a_cut_checkpoint_is_named_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, {"a": torch.zeros(1000)}, {"step": "1"})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        train(fresh(), Line(), config(tmp_path, 5))


def test_kill_at_any_time_leaves_a_checkpoint_that_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.lab.training.test_loop import Line, config, fresh\n"
        "from allaprima.lab.training.loop import train\n"
        "train(fresh(), Line(), config(Path(sys.argv[1]), 100_000, save_every=1))\n"
    )
    checkpoint = tmp_path / "checkpoint.safetensors"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL,
        env={**os.environ, "ACCELERATE_MIXED_PRECISION": "no"},  # as this process, which goes on from it
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    step = int(read_tensors(checkpoint)[1]["step"])
    resumed = train(fresh(), Line(), config(tmp_path, step + 10))
    straight = train(fresh(), Line(), config(tmp_path / "straight", step + 10))
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))
