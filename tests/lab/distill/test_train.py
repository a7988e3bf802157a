"""A distillation as the command runs it, from a tiny base on disk to the LoRA that is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_vignette import CHANNELS, WIDTH, write_tiny_vignette

from allaprima.cli.output import parse_duration
from allaprima.core.errors import UserError
from allaprima.lab.distill.methods.dmd import DmdSettings
from allaprima.lab.distill.methods.lcm import LcmSettings
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.distill.methods.turbo import TurboSettings
from allaprima.lab.distill.networks import base_hash
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.lab.distill.train import Outcome, distill
from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.loop import LoopConfig
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.lora.files.reader import read_lora


def write_cache(folder: Path, scenes: int = 12) -> Path:
    """A latent cache of coloured scenes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 6, (scenes, CAPTIONS))
    starts = np.concatenate([[0], lengths.ravel().cumsum()[:-1]]).reshape(scenes, CAPTIONS)
    colours = rng.standard_normal((scenes, CHANNELS, 1, 1))
    np.save(folder / "latents.npy", np.broadcast_to(colours, (scenes, CHANNELS, 16, 16)).astype(np.float16))
    np.save(folder / "masks.npy", np.zeros((scenes, 16, 16), np.uint8))
    np.save(folder / "names.npy", np.zeros((scenes, len(GROUPS), 8, 8), np.int16))
    np.save(folder / "states.npy", rng.standard_normal((int(lengths.sum()), WIDTH)).astype(np.float16))
    np.save(folder / "spans.npy", np.stack([starts, lengths], -1))
    np.save(folder / "empty.npy", rng.standard_normal((2, WIDTH)).astype(np.float16))
    return folder


def bench(folder: Path) -> TeacherSetup:
    """The tiny Vignette on the bench; `folder` holds it and a cache afterwards."""
    if not (folder / "cache").exists():
        write_tiny_vignette(folder / "weights")
        write_cache(folder / "cache")
    base = load_vignette(folder / "weights")
    return set_up_teacher(base, base_hash(base, folder / "weights"), caches=(folder / "cache",))


def run(
    folder: Path, name: str, updates: int, *, method: str = "turbo", resume: bool = False, **more: Any
) -> Outcome:
    """A short training in `folder / name`."""
    settings = METHODS[method](**{"guidance": 2.0, **more})
    config = LoopConfig(
        folder=folder / name, steps=updates, batch_size=4, learning_rate=2e-3, warmup_steps=1, save_every=2,
        sample_every=2, log_every=2, ema_decay=0.9,
    )  # fmt: skip
    return distill(bench(folder), settings, config, resume=resume)


def test_what_is_kept_loads_onto_the_base_with_its_levels(tmp_path: Path) -> None:
    outcome = run(tmp_path, "turbo", 4)
    assert outcome.lora is not None
    base = load_vignette(tmp_path / "weights")
    lora = read_lora(outcome.lora, base.modules(), family="vignette")
    assert lora.metadata.family == "vignette"
    assert lora.metadata.steps == 4
    assert list(lora.metadata.sigmas) == pytest.approx(list(base.schedule(4, 256, 256).sigmas))
    assert lora.metadata.base_hash == base_hash(base, tmp_path / "weights")
    assert not lora.unmatched
    assert all("add_" in key or "txt_" in key for key in lora.updates)
    exams = [json.loads(line) for line in (tmp_path / "turbo" / "exam.jsonl").read_text().splitlines()]
    assert [exam["step"] for exam in exams] == [2, 4]
    assert len(list((tmp_path / "turbo").glob("sample-*.png"))) == 2
    assert json.loads((tmp_path / "turbo" / "ranks.json").read_text())["parameters"] > 0


def test_resumed_is_bit_for_bit_and_a_training_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, "whole", 4, method="dmd", fake_updates=1)
    run(tmp_path, "parts", 2, method="dmd", fake_updates=1)
    with pytest.raises(UserError, match="add --resume"):
        run(tmp_path, "parts", 4, method="dmd", fake_updates=1)
    run(tmp_path, "parts", 4, method="dmd", fake_updates=1, resume=True)
    whole, parts = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    best = [read_tensors(tmp_path / name / "best.safetensors")[0] for name in ("whole", "parts")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


@pytest.mark.parametrize("method", ["lcm", "add"])
def test_the_other_methods_run_too(method: str, tmp_path: Path) -> None:
    outcome = run(tmp_path, method, 2, method=method, ranks="2", sites="all")
    assert outcome.lora is not None
    assert outcome.parameters > 0


def test_sensitivity_chooses_ranks_within_the_budget_and_keeps_them(tmp_path: Path) -> None:
    outcome = run(tmp_path, "sensitive", 2, sites="all", ranks="sensitivity", parameters=6000)
    kept = json.loads((tmp_path / "sensitive" / "ranks.json").read_text())
    assert 0 < kept["parameters"] <= 6000
    assert outcome.parameters == kept["parameters"]


def test_a_whole_network_learns_and_leaves_no_lora(tmp_path: Path) -> None:
    assert run(tmp_path, "whole", 2, whole=True).lora is None


def test_prompts_alone_are_enough_for_distribution_matching_and_no_other(tmp_path: Path) -> None:
    write_tiny_vignette(tmp_path / "weights")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\na dog\n\ntwo cats\na hat\na car\n", encoding="utf-8")
    base = load_vignette(tmp_path / "weights")
    config = LoopConfig(folder=tmp_path / "dmd", steps=1, batch_size=2, learning_rate=1e-3, sample_every=1)
    spread = set_up_teacher(base, "0" * 64, prompts=prompts)
    assert distill(spread, DmdSettings(fake_updates=1), config, resume=False).lora is not None
    config = LoopConfig(folder=tmp_path / "lcm", steps=1, batch_size=2, learning_rate=1e-3)
    again = set_up_teacher(load_vignette(tmp_path / "weights"), "0" * 64, prompts=prompts)
    with pytest.raises(UserError, match="learns from pictures"):
        distill(again, LcmSettings(), config, resume=False)
    with pytest.raises(UserError, match="both or neither"):
        set_up_teacher(base, "0" * 64)


def test_two_processes_learn_what_one_does_with_two_optimizers(tmp_path: Path) -> None:
    bench(tmp_path)
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; from pathlib import Path; from tests.lab.distill.test_train import run\n"
        "run(Path(sys.argv[1]), sys.argv[2], 3, method='dmd', fake_updates=2)\n"
    )
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "ACCELERATE_MIXED_PRECISION": "no",  # bf16 rounds other batches otherwise
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path.cwd()),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, str(script), str(tmp_path), "two"],
        check=True,
        env=environment,
        capture_output=True,
        timeout=900,
    )
    alone = [sys.executable, str(script), str(tmp_path), "one"]
    subprocess.run(alone, check=True, env=environment, capture_output=True, timeout=900)
    one, two = (read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    # Adam divides by the gradient's size, so where that is nearly zero a rounding becomes a step.
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-3m", "30 minutes"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="such as 30m"):
        parse_duration(text)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="pattern, sensitivity or a number"):
        TurboSettings(ranks="high")
    with pytest.raises(UserError, match="lcm --whole"):
        LcmSettings(embedded=True)


def test_a_student_begins_where_another_ended(tmp_path: Path) -> None:
    first = run(tmp_path, "first", 4).lora
    assert first is not None
    again = run(tmp_path, "again", 2, method="dmd", fake_updates=1, start=first)
    ranks = [json.loads((tmp_path / name / "ranks.json").read_text())["ranks"] for name in ("first", "again")]
    assert ranks[0] == ranks[1]
    begun, before = (read_tensors(path)[0] for path in (again.lora or tmp_path, first))
    assert begun.keys() == before.keys()
    moved = max(float((begun[name].float() - before[name].float()).abs().max()) for name in begun)
    assert 0 < moved < 0.1
    with pytest.raises(UserError, match="expected a LoRA that `prima distill` wrote"):
        run(tmp_path, "other", 1, start=tmp_path / "weights" / "text.safetensors")
    with pytest.raises(UserError, match="one of the two"):
        TurboSettings(whole=True, start=first)
