"""Distribution matching, against the paper's formulas for a network whose pictures are known by hand."""

from __future__ import annotations

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
    wide,
)
from tests.lab.distill.tiny import FAMILIES, Pictures, draw, make, short_training

from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.methods.dmd import DmdTask, matching_gradient
from allaprima.lab.distill.trajectories import (
    TrajectorySettings,
    walk_trajectories,
)
from allaprima.lab.training.loop import train
from allaprima.paint.sampling.process import TrainingProcess, VariancePreserving


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fake_network_learns_what_the_painter_paints(family: str, tmp_path: Path) -> None:
    model, task = make("dmd", family, fake_updates=3)
    with torch.no_grad():
        before = sum(float(task.fake_loss(model, draw(50 + n, 8))["loss"]) for n in range(3))
    train(
        model, task, short_training(tmp_path, 4 if family == "sdxl" else 8, batch_size=4, learning_rate=2e-3)
    )
    with torch.no_grad():
        after = sum(float(task.fake_loss(model, draw(50 + n, 8))["loss"]) for n in range(3))
    assert after < before


def test_the_matching_gradient_leads_from_the_fake_to_the_real_gaussian() -> None:
    """The painter's pictures are N(m, 1), the teacher's N(2, 1): descending must raise m, not lower it."""
    process = VariancePreserving()
    generator = torch.Generator().manual_seed(0)
    mean, real_mean = torch.tensor(0.0, requires_grad=True), 2.0
    for _ in range(40):
        picture = mean + torch.randn(64, 1, 1, 1, generator=generator)
        t = process.times(torch.rand(64, generator=generator).clamp(0.02, 0.98))
        x = process.mix(picture.detach(), torch.randn(64, 1, 1, 1, generator=generator), t)
        real, fake = (posterior_mean(process, x, t, float(m)) for m in (real_mean, mean.detach()))
        gradient = matching_gradient(picture.detach(), real, fake)
        torch.autograd.backward(0.5 * (picture - (picture - gradient).detach()).square().mean())
        with torch.no_grad():
            assert mean.grad is not None
            if float(mean.detach()) < 1.5:
                assert float(mean.grad) < 0
            mean -= 0.2 * mean.grad
            mean.grad = None
    assert float(mean.detach()) == pytest.approx(real_mean, abs=0.6)


def posterior_mean(
    process: VariancePreserving, x: torch.Tensor, t: torch.Tensor, mean: float
) -> torch.Tensor:
    """The perfect denoiser of N(mean, 1)."""
    alpha, sigma = process.alpha_sigma(t)
    return mean + alpha / (alpha**2 + sigma**2) * (x - alpha * mean)


def test_backward_simulation_is_the_way_it_paints() -> None:
    model, task = make("dmd", "vignette", steps=3)
    assert isinstance(model, Learners)
    asked: list[float] = []
    predict = model.predict
    batch = task.material.batch(draw(4))

    def watched(x: Any, t: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        asked.append(float(t[0]))
        return predict(x, t, *rest, **named)

    model.predict = watched  # type: ignore[method-assign]
    chosen = set()
    for step in range(12):
        asked.clear()
        task.paint(model, batch, draw(step))
        assert asked == pytest.approx(list(model.process.timesteps(3)[: len(asked)]))
        chosen.add(len(asked))
    assert chosen == {1, 2, 3}


def test_the_first_step_learns_the_teachers_way_and_hands_no_gradient_on() -> None:
    model, task = make("dmd", "vignette", steps=2, diversity=0.05, anchor_steps=4)
    assert isinstance(model, Learners)
    values = {name: value.detach() for name, value in task.loss(model, draw(2)).items()}
    assert float(values["loss"]) == pytest.approx(
        float(values["matching"]) + 0.05 * float(values["anchor"]), rel=1e-4
    )
    with torch.no_grad():
        batch = task.material.batch(draw(2))
        settings = TrajectorySettings(count=4, steps=4, stops=2, guidance=2.0)
        path = walk_trajectories(model, batch.noise, batch.text, batch.empty, settings)
    t, after = (torch.full((4,), level) for level in model.process.timesteps(2)[:2])
    wanted = (batch.noise - path[:, 1]) / (t - after)[:, None, None, None]
    error = (model.predict(batch.noise, t, batch.text) - wanted).square().mean()
    assert float(values["anchor"]) == pytest.approx(float(error.detach()), rel=1e-3)


def test_the_matching_gradient_is_measured_by_each_pictures_own_distance() -> None:
    picture = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1).expand(3, 2, 2, 2)
    real = torch.tensor([3.0, -4.0, 0.01]).reshape(3, 1, 1, 1).expand(3, 2, 2, 2)
    fake = torch.tensor([2.0, 4.0, 0.11]).reshape(3, 1, 1, 1).expand(3, 2, 2, 2)
    found = matching_gradient(picture, real, fake)
    # (2 - 3) / 2, (4 + 4) / 4, and (0.11 - 0.01) over the floor of 0.05
    assert torch.allclose(found, torch.tensor([-0.5, 2.0, 2.0]).reshape(3, 1, 1, 1).expand_as(found))


@PROCESSES
@pytest.mark.parametrize("steps", [1, 3])
def test_matching_moves_the_painter_by_the_normalised_disagreement(
    process: TrainingProcess, steps: int
) -> None:
    batch = batch_of()
    student = student_of(process, (0.0, 1.0), student=(0.0, 0.5), fake=(0.0, 0.7))
    task = DmdTask(learners=student, material=Same(batch), steps=steps, guidance=3.0)
    values = task.loss(student, draw(1, ROWS))
    torch.autograd.backward(values["loss"])
    painted, real, fake = 0.5 * colours(batch.text), guided(batch, 3.0), 0.7 * colours(batch.text)
    gradient = (fake - real) / (painted - real).abs().mean((1, 2, 3), keepdim=True)
    assert float(values["matching"]) == pytest.approx(float(0.5 * gradient.square().mean()), rel=1e-3)
    assert float(values["gap"]) == pytest.approx(float((real - fake).square().mean()), rel=1e-3)
    say = picture_of(student).say
    assert say.grad is not None
    assert float(say.grad) == pytest.approx(float((gradient * colours(batch.text)).mean()), rel=1e-3)


def test_the_fake_network_learns_the_painters_pictures_at_its_own_rate(tmp_path: Path) -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), student=(0.0, 0.5), fake=(0.0, 0.7))
    task = DmdTask(learners=student, material=Same(batch), steps=2, fake_updates=1, fake_rate=3.0)
    values = task.fake_loss(student, draw(1, ROWS))
    times = simple_of(student, FAKE).asked[-1][1]
    square = 0.2**2 * colours(batch.text).square() / wide(times).square()
    assert float(values["loss"].detach()) == pytest.approx(float(square.mean()), rel=1e-3)
    moved = moves(student, task, {name: picture_of(student, name).say for name in (STUDENT, FAKE)}, tmp_path)
    # the first step of Adam is as long as its rate
    assert moved[STUDENT] == pytest.approx(1e-3, rel=1e-2)
    assert moved[FAKE] == pytest.approx(-3e-3, rel=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 8, 16])
def test_the_first_steps_lesson_ends_where_the_first_step_does(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task = make("dmd", "vignette", steps=steps, diversity=0.05)
    assert isinstance(model, Learners)
    batch = Pictures("vignette").batch(draw())
    monkeypatch.setattr(Learners, "guided", lambda _self, x, *_rest, **_named: torch.full_like(x, 2.0))
    first, second = model.process.timesteps(steps)[:2]
    arrived = task.anchor(model, batch)
    assert torch.allclose(arrived, batch.noise - (first - second) * 2.0, atol=1e-5)
