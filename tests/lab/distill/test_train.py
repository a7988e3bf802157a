"""A distillation as the command runs it: what is kept, and what its folder endures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import run, set_up
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import OutputError, UserError
from allaprima.lab.distill.methods.dmd import DmdSettings
from allaprima.lab.distill.methods.lcm import LcmSettings
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.distill.methods.turbo import TurboSettings
from allaprima.lab.distill.networks import base_hash
from allaprima.lab.distill.teacher import set_up_teacher
from allaprima.lab.distill.train import distill
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.lab.training.loop import LoopConfig
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.lora.files.reader import read_lora


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
    set_up(tmp_path)
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; from pathlib import Path; from tests.lab.distill.tiny import run\n"
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


def contents(folder: Path) -> dict[str, object]:
    """Every file but those that hold a time; of tensors, the numbers and what is said of them, in no order."""
    timed = {"checkpoint.safetensors", "log.jsonl", "config.json"}
    found: dict[str, object] = {}
    for one in folder.iterdir():
        if one.suffix == ".safetensors" and one.name not in timed:
            tensors, metadata = read_tensors(one)
            found[one.name] = {name: tensor.tolist() for name, tensor in tensors.items()}, metadata
        elif one.name not in timed:
            found[one.name] = one.read_bytes()
    return found


def plan(folder: Path, steps: int) -> LoopConfig:
    """As `run` trains."""
    return LoopConfig(
        folder=folder, steps=steps, batch_size=4, learning_rate=2e-3, warmup_steps=1, save_every=2,
        sample_every=2, log_every=2, ema_decay=0.9,
    )  # fmt: skip


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_killed_in_an_exam_and_resumed_the_folder_is_the_same(tmp_path: Path, killed_at: int) -> None:
    run(tmp_path, "whole", 6)
    shown = 0

    def killing(decode: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def decoded(latents: torch.Tensor) -> torch.Tensor:
            nonlocal shown
            shown += 1
            if shown == 2 * killed_at:  # a grid shows the teacher's pictures, then the student's
                raise KeyboardInterrupt
            return decode(latents)

        return decoded

    laid = set_up(tmp_path)
    settings = TurboSettings(guidance=2.0)
    with pytest.raises(KeyboardInterrupt):
        distill(
            replace(laid, decode=killing(laid.decode)), settings, plan(tmp_path / "parts", 6), resume=False
        )
    assert run(tmp_path, "parts", 6, resume=True).lora is not None
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@pytest.mark.parametrize("gone", ["checkpoint.safetensors", "exam.jsonl"])
def test_what_was_kept_is_not_overwritten_by_another_training(tmp_path: Path, gone: str) -> None:
    best = run(tmp_path, "turbo", 4).lora
    assert best is not None
    before = best.read_bytes()
    (tmp_path / "turbo" / gone).unlink()
    with pytest.raises(UserError, match="holds a training; add --resume"):
        run(tmp_path, "turbo", 2, method="dmd", fake_updates=1)
    assert best.read_bytes() == before


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"method": "lcm"}, "with method turbo, and got lcm"),
        ({"steps": 2}, "with steps 4, and got 2"),
        ({"seed": 1}, "with seed 0, and got 1"),
        ({"sites": "all"}, "with sites text, and got all"),
    ],
)
def test_a_training_is_not_gone_on_with_as_another(
    tmp_path: Path, other: dict[str, Any], expected: str
) -> None:
    run(tmp_path, "turbo", 2)
    before = contents(tmp_path / "turbo")
    with pytest.raises(UserError, match=expected):
        run(tmp_path, "turbo", 4, resume=True, **other)
    assert contents(tmp_path / "turbo") == before


def test_a_training_is_not_gone_on_with_on_another_base(tmp_path: Path) -> None:
    run(tmp_path, "turbo", 2)
    shutil.rmtree(tmp_path / "weights")
    write_tiny_vignette(tmp_path / "weights", seed=9)
    with pytest.raises(UserError, match="with base_hash"):
        run(tmp_path, "turbo", 4, resume=True)


@pytest.mark.parametrize("name", ["exam.jsonl", "ranks.json", "settings.json"])
def test_damaged_notes_are_named(tmp_path: Path, name: str) -> None:
    run(tmp_path, "turbo", 2)
    (tmp_path / "turbo" / name).write_text('{"step": 2, ')
    with pytest.raises(UserError, match=f"cannot read .*{name}"):
        run(tmp_path, "turbo", 4, resume=True)


def test_a_folder_that_cannot_be_is_refused_before_anything_is_painted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match="cannot write"):
            run(tmp_path, place, 2)


def test_no_student_of_numbers_that_are_none_is_kept(tmp_path: Path) -> None:
    laid = set_up(tmp_path)
    settings = TurboSettings(guidance=2.0)
    with pytest.raises(UserError, match="expected a finite number"):
        distill(
            laid, settings, replace(plan(tmp_path / "turbo", 4), learning_rate=float("inf")), resume=False
        )
    assert not (tmp_path / "turbo" / "best.safetensors").exists()


def test_what_a_method_cannot_learn_from_is_refused_before_the_teacher_paints(tmp_path: Path) -> None:
    write_tiny_vignette(tmp_path / "weights")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"{count} cats" for count in range(8)), encoding="utf-8")
    base = load_vignette(tmp_path / "weights")
    laid = set_up_teacher(base, base_hash(base, tmp_path / "weights"), prompts=prompts)
    for method in ("turbo", "lcm", "add"):
        with pytest.raises(UserError, match="expected --cache, or --paths"):
            distill(laid, METHODS[method](), plan(tmp_path / method, 2), resume=False)
        assert not (tmp_path / method).exists()


@pytest.mark.parametrize(
    ("method", "former"),
    [
        ("turbo", {"rule": "straight", "where": "text", "arm": "both"}),
        ("add", {"rule": "renoise", "where": "text", "eyes": "latent"}),
    ],
)
def test_a_folder_with_former_names_of_settings_is_gone_on_with(
    tmp_path: Path, method: str, former: dict[str, str]
) -> None:
    run(tmp_path, "old", 2, method=method)
    path = tmp_path / "old" / "settings.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    names = {"rule": "sampler", "where": "sites", "eyes": "features"}
    written = {name: settings.pop(name) for name in names.values() if name in settings}
    path.write_text(json.dumps({**settings, **former}), encoding="utf-8")
    run(tmp_path, "old", 4, method=method, resume=True)
    again = json.loads(path.read_text(encoding="utf-8"))
    assert {name: again[name] for name in written} == written
    assert not set(former) & set(names) & set(again)
    path.write_text(json.dumps({**settings, **former, "rule": "other"}), encoding="utf-8")
    with pytest.raises(UserError, match="with sampler other, and got"):
        run(tmp_path, "old", 6, method=method, resume=True)
