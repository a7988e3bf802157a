"""What holds for every method, on tiny teachers of the real classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import FAMILIES, draw, make, short_training, touched

from allaprima.core.errors import UserError
from allaprima.lab.distill.learners import FAKE, STUDENT
from allaprima.lab.distill.methods.add import HEADS
from allaprima.lab.distill.methods.lcm import LcmSettings
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.distill.methods.turbo import TurboSettings
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.lab.training.loop import TurnTask, train


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_gradients_reach_what_learns_and_nothing_else(method: str, family: str) -> None:
    model, task = make(method, family)
    for turn in task.turns:
        model.zero_grad(set_to_none=True)
        values = turn.loss(model, draw(1))
        torch.autograd.backward(values["loss"], inputs=list(turn.parameters))
        names = {id(one): name for name, one in model.named_parameters()}
        own = {names[id(one)] for one in turn.parameters}
        assert touched(model) <= own
        mark = {STUDENT: ".lora_B.student.", FAKE: ".lora_B.fake.", HEADS: "heads."}[turn.name]
        reached = [name for name in touched(model) if mark in name]
        assert len(reached) >= 0.7 * sum(mark in name for name in own)
        assert all(torch.isfinite(value).all() for value in values.values())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["turbo", "lcm"])
def test_a_few_updates_lower_the_loss(method: str, family: str, tmp_path: Path) -> None:
    model, task = make(method, family)
    with torch.no_grad():
        before = sum(float(task.loss(model, draw(100 + n, 8))["loss"]) for n in range(4))
    train(model, task, short_training(tmp_path, 12 if family == "sdxl" else 25, batch_size=8))
    with torch.no_grad():
        after = sum(float(task.loss(model, draw(100 + n, 8))["loss"]) for n in range(4))
    assert after < 0.9 * before


@pytest.mark.parametrize("method", METHODS)
def test_stopped_and_resumed_gives_the_same_bits(method: str, tmp_path: Path) -> None:
    for folder, stops in (("whole", (4,)), ("parts", (2, 4))):
        for steps in stops:
            model, task = make(method, "vignette")
            train(model, task, short_training(tmp_path / folder, steps, save_every=2))
    whole, parts = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    names = {name.split(".", 1)[0] for name in whole}
    assert names == {"model", "average", "optimizer"}
    assert not any("base_layer.weight" in name for name in whole)


def test_tasks_are_turn_tasks() -> None:
    for method in METHODS:
        assert isinstance(make(method, "vignette")[1], TurnTask)


def test_a_budget_stops_the_training_with_a_checkpoint(tmp_path: Path) -> None:
    model, task = make("turbo", "vignette")
    train(model, task, short_training(tmp_path, 1000, budget_s=0.0))
    tensors, metadata = read_tensors(tmp_path / "checkpoint.safetensors")
    assert metadata["step"] == "1"
    assert tensors


def test_what_a_student_is_told_goes_with_whole_networks() -> None:
    with pytest.raises(UserError, match="lcm --whole"):
        LcmSettings(embedded=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ranks": "high"}, "pattern, sensitivity or a number"),
        ({"ranks": "²"}, "expected pattern, sensitivity or a number"),
        ({"ranks": "0"}, "expected pattern, sensitivity or a number"),
        ({"ranks": "8", "whole": True}, "expected none of them"),
        ({"sites": "all", "start": Path("lora.safetensors")}, "expected none of them"),
        ({"parameters": 1000}, "expected --ranks sensitivity"),
    ],
)
def test_settings_that_cannot_be_or_do_nothing_are_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        TurboSettings(**given)
