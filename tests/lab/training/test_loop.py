"""The loop: losses fall, a stopped training goes on with the same bits, and a kill leaves a whole checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.lab.training.line import Line, config, fresh
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.lab.training.loop import Draw, seed_of, train


def test_every_seed_and_every_step_draws_numbers_of_its_own() -> None:
    pairs = [(seed, step) for seed in (0, 1, 7, 2**20 - 1) for step in (0, 1, 2**40, 2**40 + 1)]
    first = {float(torch.rand((), generator=torch.Generator().manual_seed(seed_of(*pair)))) for pair in pairs}
    assert len(first) == len(pairs)
    assert seed_of(3, 5) == seed_of(3, 5)


def test_seeds_train_on_other_numbers(tmp_path: Path) -> None:
    trained = [train(fresh(), Line(), config(tmp_path / str(seed), 5, seed=seed)) for seed in (0, 1)]
    assert not torch.equal(*(next(model.parameters()) for model in trained))


def test_loss_falls_and_is_logged(tmp_path: Path) -> None:
    train(fresh(), Line(), config(tmp_path, 60, sample_every=30))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"] / 20
    assert [line["step"] for line in lines] == list(range(5, 65, 5))
    assert sorted(path.name for path in tmp_path.glob("sample-*")) == ["sample-30.txt", "sample-60.txt"]


def test_resuming_gives_the_same_bits_as_never_stopping(tmp_path: Path) -> None:
    whole = train(fresh(), Line(), config(tmp_path / "whole", 20))
    train(fresh(), Line(), config(tmp_path / "parts", 10))
    parts = train(fresh(), Line(), config(tmp_path / "parts", 20))
    for mine, theirs in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    first, second = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "parts")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.lab.training.test_loop import Line, config, fresh\n"
        "from allaprima.lab.training.loop import train\n"
        "train(fresh(), Line(), config(Path(sys.argv[1]), 10))\n"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "ACCELERATE_MIXED_PRECISION": "no",  # bf16 rounds other batches otherwise
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path.cwd()),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(script), str(tmp_path / "two")]
    subprocess.run([*command, *arguments], check=True, env=environment, capture_output=True, timeout=300)
    alone = [sys.executable, str(script), str(tmp_path / "one")]
    subprocess.run(alone, check=True, env=environment, capture_output=True, timeout=300)
    one, two = (read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def test_without_resume_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    train(fresh(), Line(), config(tmp_path, 5))
    with pytest.raises(FileExistsError, match="resume from it"):
        train(fresh(), Line(), config(tmp_path, 5), resume=False)


def test_rate_warms_up_holds_and_decays() -> None:
    plan = config(Path(), 100, decay_steps=20)
    rates = [plan.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.025)
    assert rates[1:80] == [0.05] * 79
    assert rates[90] == pytest.approx(0.025)
    assert rates[99] == pytest.approx(0.0025)


def test_a_checkpoint_of_numbers_that_are_none_is_never_written(tmp_path: Path) -> None:
    class Breaks(Line):
        def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
            return {"loss": super().loss(model, draw)["loss"] * (float("nan") if draw.step >= 5 else 1.0)}

    plan = replace(config(tmp_path, 20), save_every=2, log_every=100)
    with pytest.raises(UserError, match="got loss nan at update 6"):
        train(fresh(), Breaks(), plan)
    tensors, metadata = read_tensors(tmp_path / "checkpoint.safetensors")
    assert metadata["step"] == "4"
    assert all(tensor.isfinite().all() for tensor in tensors.values())
