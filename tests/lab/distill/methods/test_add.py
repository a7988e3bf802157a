"""Adversarial distillation, against the paper's formulas for a network whose pictures are known by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.known import (
    FLOW,
    PROCESSES,
    ROWS,
    Same,
    batch_of,
    colours,
    guided,
    moves,
    picture_of,
    simple_of,
    student_of,
    words,
)
from tests.lab.distill.tiny import (
    draw,
    make,
    touched,
)
from torch import nn

from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.discriminator import Discriminator, PixelFeatures, TeacherFeatures, summary
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.methods.add import HEADS, AddTask, AdversarialModel
from allaprima.paint.sampling.process import Flow, TrainingProcess, VariancePreserving


def adversarial(process: TrainingProcess, **more: Any) -> tuple[AdversarialModel, AddTask, DistillBatch]:
    """A critic who sees the latents themselves, and whose votes reach beyond 1."""
    batch = batch_of()
    heads = Discriminator([4], 4, hidden=16)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.mul_(2.5)
    duel = AdversarialModel(student_of(process, (0.0, 1.0), student=(0.0, 0.5)), heads)
    return duel, add_task(duel, batch, **more), batch


def add_task(model: AdversarialModel, batch: DistillBatch, **more: Any) -> AddTask:
    features = PixelFeatures(lambda latents: latents, lambda pixels: [pixels])
    return AddTask(
        learners=model.student, discriminator=model.heads, material=Same(batch), features=features, **more
    )


@PROCESSES
def test_the_heads_are_taught_by_the_hinge_that_real_is_above_one_and_painted_below_minus_one(
    process: TrainingProcess,
) -> None:
    duel, task, batch = adversarial(process, r1=0.0)
    values = task.head_loss(duel, draw(1, ROWS))
    with torch.no_grad():
        real = duel.heads([batch.pictures()], words(batch.text)).flatten().tolist()
        fake = duel.heads([0.5 * colours(batch.text)], words(batch.text)).flatten().tolist()
    assert max(map(abs, [*real, *fake])) > 1
    expected = sum(max(0.0, 1 - vote) for vote in real) + sum(max(0.0, 1 + vote) for vote in fake)
    assert float(values["loss"].detach()) == pytest.approx(expected / len(real), rel=1e-4)
    right = sum(vote > 0 for vote in real) + sum(vote < 0 for vote in fake)
    assert float(values["right"]) == pytest.approx(right / (2 * len(real)))


def test_the_slope_of_real_votes_is_punished_in_the_heads_loss_and_in_its_gradient() -> None:
    gradients = {}
    for r1 in (0.0, 50.0):
        duel, task, batch = adversarial(FLOW, r1=r1)
        parameters = tuple(duel.heads.parameters())
        loss = task.head_loss(duel, draw(1, ROWS))["loss"]
        gradients[r1] = torch.autograd.grad(loss, parameters, materialize_grads=True)
    rows = []
    for row, spoken in zip(batch.pictures(), words(batch.text), strict=True):
        seen = row[None].clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(duel.heads([seen], spoken[None]).sum(), seen, create_graph=True)
        rows.append(slope.square().sum())
    penalty = 50 * torch.stack(rows).mean()
    expected = torch.autograd.grad(penalty, parameters, materialize_grads=True)
    for plain, punished, difference in zip(gradients[0.0], gradients[50.0], expected, strict=True):
        assert torch.allclose(punished - plain, difference, rtol=1e-3, atol=1e-4)
    assert max(float(one.abs().max()) for one in expected) > 0.1


def test_the_student_is_told_to_raise_the_votes_for_its_pictures() -> None:
    duel, task, batch = adversarial(FLOW, adversarial=0.7, distillation=0.0)
    with torch.no_grad():
        votes = duel.heads([0.5 * colours(batch.text)], words(batch.text))
    values = task.loss(duel, draw(1, ROWS))
    assert float(values["loss"].detach()) == pytest.approx(-0.7 * float(votes.mean()), rel=1e-4)


@PROCESSES
def test_the_distance_to_the_guided_teachers_picture_is_weighted_by_alpha(process: TrainingProcess) -> None:
    duel, task, batch = adversarial(process, adversarial=0.0, distillation=2.5, guidance=3.0)
    distance = task.loss(duel, draw(1, ROWS))["distance"].detach()
    ((_, t),) = simple_of(duel.student, "teacher").asked
    t = t[: len(batch.noise)]  # the teacher is asked with the prompt and without in one batch
    alpha = 1 - t if isinstance(process, Flow) else VariancePreserving().alphas[t.long()].sqrt()
    squares = (0.5 * colours(batch.text) - guided(batch, 3.0)).square().mean((1, 2, 3))
    assert alpha.max() - alpha.min() > 0.3
    assert float(distance) == pytest.approx(float((alpha * squares).mean()), rel=1e-3)


@PROCESSES
def test_the_adversarial_student_learns_its_first_level_from_noise_alone(process: TrainingProcess) -> None:
    duel, task, batch = adversarial(process, steps=2, adversarial=0.0)
    task.loss(duel, draw(1, ROWS))
    ((x, t),) = simple_of(duel.student).asked
    first, second, _ = process.timesteps(2)
    early = t == first
    assert 0 < int(early.sum()) < ROWS
    assert torch.allclose(t[~early], torch.tensor(second))
    assert torch.equal(x[early], batch.noise[early])
    mixed = process.mix(batch.pictures(), batch.noise, t)
    assert torch.equal(x[~early], mixed[~early])


def test_the_heads_learn_at_their_own_rate(tmp_path: Path) -> None:
    duel, task, _ = adversarial(FLOW, head_rate=4.0)
    weight = next(duel.heads.parameters())
    moved = moves(duel, task, {HEADS: weight, STUDENT: picture_of(duel.student).say}, tmp_path)
    assert abs(moved[HEADS]) == pytest.approx(4e-3, rel=1e-2)
    assert abs(moved[STUDENT]) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("family", ["vignette", "sdxl"])
def test_the_critic_learns_to_tell_and_the_student_to_fool(family: str) -> None:
    model, task = make("add", family, distillation=0.0)
    heads, student = task.turns
    first = float(heads.loss(model, draw(3, 8))["hinge"])
    optimizer = torch.optim.AdamW(heads.parameters, lr=5e-3)
    for step in range(15):
        torch.autograd.backward(heads.loss(model, draw(step, 8))["loss"], inputs=list(heads.parameters))
        optimizer.step()
        optimizer.zero_grad()
    assert float(heads.loss(model, draw(3, 8))["hinge"]) < first
    fooling = float(task.loss(model, draw(5, 8))["fooling"].detach())
    optimizer = torch.optim.AdamW(student.parameters, lr=5e-3)
    for step in range(10):
        torch.autograd.backward(student.loss(model, draw(step, 8))["loss"], inputs=list(student.parameters))
        optimizer.step()
        optimizer.zero_grad()
    assert float(task.loss(model, draw(5, 8))["fooling"].detach()) < fooling


def test_the_three_arms() -> None:
    _, both = make("add", "vignette")
    model, alone = make("add", "vignette", adversarial=0.0)
    assert [turn.name for turn in both.turns] == [HEADS, STUDENT]
    assert [turn.name for turn in alone.turns] == [STUDENT]
    assert set(alone.loss(model, draw())) == {"loss", "distance"}
    model, fooling = make("add", "vignette", distillation=0.0)
    assert set(fooling.loss(model, draw())) == {"loss", "fooling"}


def test_the_critic_sees_both_through_the_same_noise_at_the_same_times() -> None:
    model, task = make("add", "vignette")
    assert isinstance(model, AdversarialModel)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Watching(TeacherFeatures):
        def extract(self, model: Learners, clean: Any, noise: Any, t: Any, text: Any) -> list[torch.Tensor]:
            seen.append((noise, t))
            return super().extract(model, clean, noise, t, text)

    watched = replace(task, features=Watching((0, 1)))
    watched.head_loss(model, draw())
    (noise, t), (other_noise, other_t) = seen
    assert torch.equal(noise, other_noise)
    assert torch.equal(t, other_t)


def test_r1_is_the_squared_slope_of_the_votes() -> None:
    seen: list[tuple[torch.Tensor, list[torch.Tensor]]] = []

    class Keeping(TeacherFeatures):
        def extract(self, model: Learners, clean: Any, noise: Any, t: Any, text: Any) -> list[torch.Tensor]:
            seen.append((clean, super().extract(model, clean, noise, t, text)))
            return seen[-1][1]

    model, task = make("add", "vignette")
    assert isinstance(model, AdversarialModel)
    task = replace(task, features=Keeping((0, 1)), r1=20.0)
    values = {name: value.detach() for name, value in task.head_loss(model, draw(2)).items()}
    batch = task.material.batch(draw(2))
    (maps,) = (found for clean, found in seen if torch.equal(clean, batch.pictures()))
    votes = model.heads(maps, summary(batch.text))
    squares = [
        torch.autograd.grad(votes[head, row], maps[head], retain_graph=True)[0][row].square().sum()
        for head in range(2)
        for row in range(4)
    ]
    penalty = float(torch.stack(squares).mean())
    assert float(values["r1"]) == pytest.approx(penalty, rel=1e-4)
    assert float(values["loss"] - values["hinge"]) == pytest.approx(20 * penalty, rel=1e-3)
    assert 20 * penalty > 0.01 * float(values["hinge"])


def test_pixel_eyes_pass_gradients_through_the_decoder() -> None:
    decode = nn.Conv2d(4, 3, 1).requires_grad_(False)
    model, task = make("add", "vignette")
    eyes = PixelFeatures(decode, lambda pixels: [pixels, pixels.tanh()])
    duel = AdversarialModel(model.student, Discriminator([3, 3], 8, hidden=16))  # type: ignore[arg-type]
    pixels = replace(task, discriminator=duel.heads, features=eyes, distillation=0.0)
    student = pixels.turns[-1]
    torch.autograd.backward(pixels.loss(duel, draw())["loss"], inputs=list(student.parameters))
    assert any(".lora_B.student." in name for name in touched(duel))
