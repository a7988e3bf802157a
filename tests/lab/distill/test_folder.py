"""What a training's folder endures: kills, damage, other options, numbers that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.test_train import bench, run
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import OutputError, UserError
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.distill.methods.turbo import TurboSettings
from allaprima.lab.distill.networks import base_hash
from allaprima.lab.distill.teacher import set_up_teacher
from allaprima.lab.distill.train import distill
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.lab.training.loop import LoopConfig
from allaprima.paint.bases.vignette.base import load_vignette


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

    laid = bench(tmp_path)
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


def test_answers_of_another_teacher_are_not_read_again(tmp_path: Path) -> None:
    run(tmp_path, "first", 2)
    taught = read_tensors(tmp_path / "first" / "exam.safetensors")[0]["taught"]
    shutil.rmtree(tmp_path / "weights")
    write_tiny_vignette(tmp_path / "weights", seed=9)
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first" / "exam.safetensors", tmp_path / "second")
    run(tmp_path, "second", 2)
    assert not torch.equal(read_tensors(tmp_path / "second" / "exam.safetensors")[0]["taught"], taught)


def test_a_training_that_never_began_leaves_no_ranks_behind(tmp_path: Path) -> None:
    wrong = run(tmp_path, "everywhere", 2, sites="all", ranks="2").lora
    assert wrong is not None
    tensors, metadata = read_tensors(wrong)
    odd = {"nowhere.to_q": 2}
    write_tensors(tmp_path / "odd.safetensors", tensors, {**metadata, "distill.site_ranks": json.dumps(odd)})
    with pytest.raises(UserError, match=r"with a layer nowhere\.to_q"):
        run(tmp_path, "turbo", 2, start=tmp_path / "odd.safetensors")
    run(tmp_path, "turbo", 2, ranks="3")
    ranks = json.loads((tmp_path / "turbo" / "ranks.json").read_text())["ranks"]
    assert set(ranks.values()) == {3}


@pytest.mark.parametrize("ranks", [[], {}, {"txt_in": "high"}, {"txt_in": 0}])
def test_ranks_that_are_none_are_refused(tmp_path: Path, ranks: object) -> None:
    path = tmp_path / "odd.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"distill.site_ranks": json.dumps(ranks)})
    with pytest.raises(UserError, match="expected a LoRA that `prima distill` wrote"):
        run(tmp_path, "turbo", 2, start=path)


def test_a_student_of_another_family_is_no_start(tmp_path: Path) -> None:
    lora = run(tmp_path, "first", 2).lora
    assert lora is not None
    tensors, metadata = read_tensors(lora)
    told = {**metadata, "allaprima.family": "qwen-image"}
    write_tensors(tmp_path / "foreign.safetensors", tensors, told)
    with pytest.raises(
        UserError, match="of family qwen-image; expected one for this base, of family vignette"
    ):
        run(tmp_path, "again", 2, start=tmp_path / "foreign.safetensors")


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
    laid = bench(tmp_path)
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
    ("given", "expected"),
    [
        ({"ranks": "²"}, "expected pattern, sensitivity or a number"),
        ({"ranks": "0"}, "expected pattern, sensitivity or a number"),
    ],
)
def test_options_that_cannot_be_are_refused(given: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        TurboSettings(**given)  # type: ignore[arg-type]


def test_a_budget_too_small_for_any_rank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="got a budget of 1 parameters"):
        run(tmp_path, "turbo", 2, ranks="sensitivity", parameters=1)
