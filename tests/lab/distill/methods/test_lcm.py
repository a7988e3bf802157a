"""Latent consistency, against the paper's formulas for a network whose pictures are known by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

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
    picture_of,
    simple_of,
    student_of,
    towards,
    wide,
)
from tests.lab.distill.tiny import SHAPES, Pictures, draw, make, set_up, teacher, texts
from torch import Tensor

from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.methods.lcm import LcmSettings, LcmTask
from allaprima.lab.distill.methods.method import TaskInputs
from allaprima.lab.distill.train import make_learners
from allaprima.lab.training.loop import Draw, LoopConfig
from allaprima.paint.sampling.process import Flow, TrainingProcess


def test_a_consistent_student_is_drawn_to_what_it_names_one_guided_step_on_and_the_target_stands() -> None:
    batch, skip, huber = batch_of(), 1, 0.03
    keep, say = 0.3, 0.5
    student = student_of(FLOW, (0.2, 1.0), student=(keep, say))
    task = LcmTask(
        learners=student, material=Same(batch), guidance=3.0, solver_steps=4, skip=skip, huber=huber
    )
    loss = task.loss(student, draw(3, ROWS))["loss"]
    torch.autograd.backward(loss)
    (x, t) = max(simple_of(student).asked, key=lambda pair: float(pair[1].sum()))
    levels = FLOW.timesteps(4)
    which = [min(range(4), key=lambda index: abs(levels[index] - float(one))) for one in t]
    assert set(which) == {0, 1, 2, 3}
    after = torch.tensor([levels[one + skip] for one in which])
    x_after = towards(0.2 * x + guided(batch, 3.0), x, t, after)
    target = torch.where(wide(after == 0), x_after, keep * x_after + say * colours(batch.text))
    error = keep * x + say * colours(batch.text) - target
    root = (error.square() + huber**2).sqrt()
    assert float(loss.detach()) == pytest.approx(float((root - huber).mean()), rel=1e-3)
    own = picture_of(student)
    assert own.keep.grad is not None
    assert own.say.grad is not None
    assert float(own.keep.grad) == pytest.approx(float((error / root * x).mean()), rel=1e-2, abs=1e-5)
    assert float(own.say.grad) == pytest.approx(
        float((error / root * colours(batch.text)).mean()), rel=1e-2, abs=1e-5
    )


@PROCESSES
def test_where_the_way_ends_the_guided_teachers_picture_is_the_target(process: TrainingProcess) -> None:
    batch = batch_of()
    student = student_of(process, (0.0, 1.0), student=(0.0, 0.5))
    task = LcmTask(learners=student, material=Same(batch), guidance=3.0, solver_steps=1, huber=0.1)
    (t,) = {one for _, times in asked_by(task, student) for one in times.tolist()}
    assert t == process.timesteps(1)[0]
    found = task.loss(student, draw(3, ROWS))["error"]
    x = process.mix(batch.pictures(), batch.noise, torch.full((ROWS,), t))
    scaled = 10 * t  # of a network that tells noise, c_skip and c_out bend even this, if hardly
    skip, out = (0.25 / (scaled**2 + 0.25), scaled / math.sqrt(scaled**2 + 0.25))
    named = 0.5 * colours(batch.text)
    named = named if isinstance(process, Flow) else skip * x + out * named
    assert float(found) == pytest.approx(float((named - guided(batch, 3.0)).square().mean()), rel=1e-3)


def asked_by(task: LcmTask, student: Learners) -> list[tuple[Tensor, Tensor]]:
    """Where a loss asks the student."""
    task.loss(student, draw(3, ROWS))
    return simple_of(student).asked


def test_a_student_is_told_the_very_guidance_its_teacher_had() -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), width=1, student=(0.0, 0.5))
    embedding = student.guidance
    assert embedding is not None
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        embedding.project.weight.copy_(0.1 * torch.randn(1, 256, generator=generator))
    task = LcmTask(learners=student, material=Same(batch), guidance_range=(2.0, 8.0), solver_steps=1)
    heard: list[Tensor] = []
    handle = embedding.register_forward_hook(lambda _module, inputs, _output: heard.append(inputs[0]))
    error = task.loss(student, draw(3, ROWS))["error"]
    handle.remove()
    scales = heard[0]
    assert all(torch.equal(scales, one) for one in heard)
    assert scales.min() >= 2
    assert scales.max() <= 8
    assert len(set(scales.tolist())) == ROWS
    # Vaswani et al. 2017, of a thousand times the scale
    angles = 1000 * scales[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 127)
    colour = torch.cat([angles.sin(), angles.cos()], 1) @ embedding.project.weight.detach()[0]
    named = 0.5 * colours(batch.text) + wide(colour)
    expected = (named - guided(batch, scales)).square().mean()
    assert float(error) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("family", ["vignette", "sdxl"])
def test_a_student_can_be_told_the_guidance(family: str) -> None:
    network = teacher(family)
    width = 32 if family == "vignette" else 64
    student = Learners(network, {STUDENT: None}, guidance_width=width)
    task = LcmTask(learners=student, material=Pictures(family), guidance_range=(2.0, 8.0))
    x, t = torch.randn(2, *SHAPES[family]), student.process.times(torch.tensor([0.5, 0.5]))
    text = texts(family).take([0, 0])
    with torch.no_grad():
        plain, told = (student.predict(x, t, text, guidance=g) for g in (None, torch.tensor([2.0, 8.0])))
        assert torch.equal(plain, told)  # zero at first
    torch.autograd.backward(task.loss(student, draw())["loss"])
    assert student.guidance is not None
    assert student.guidance.project.weight.grad is not None
    assert bool(student.guidance.project.weight.grad.any())


class NoiseOfPictures:
    """Pictures that came along the teacher's way, from noises that know them entirely."""

    def batch(self, draw: Draw) -> DistillBatch:
        """Noise and picture are one."""
        batch = Pictures("vignette").batch(draw)
        picture = batch.pictures()
        return replace(batch, noise=picture, trajectory=torch.stack([picture, picture], 1))


def test_a_consistency_model_learns_from_fresh_noise_on_the_teachers_paths_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = make("lcm", "vignette")
    task = LcmTask(learners=model, material=NoiseOfPictures(), guidance=2.0)  # type: ignore[arg-type]
    seen: list[Tensor] = []

    def predict(_self: Learners, x: Tensor, *_rest: object, **_more: object) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x, requires_grad=True)

    monkeypatch.setattr(Learners, "predict", predict)
    task.loss(model, draw(3, batch=64))
    picture = NoiseOfPictures().batch(draw(3, batch=64)).pictures()
    related = torch.corrcoef(torch.stack([(seen[-1] - picture).flatten(), picture.flatten()]))[0, 1]
    # Noised with itself a picture would only shrink, so that the difference would be the picture's opposite: -1.
    assert -0.9 < float(related) < 0


@pytest.mark.parametrize("guidance", [1.0, 1.5, 4.0])
def test_a_student_that_is_told_its_guidance_learns_the_one_of_the_exam(
    tmp_path: Path, guidance: float
) -> None:
    laid = set_up(tmp_path)
    settings = LcmSettings(whole=True, embedded=True, guidance=guidance)
    config = LoopConfig(folder=tmp_path / "lcm", steps=1, batch_size=2, learning_rate=1e-3)
    learners = make_learners(laid, settings, config, read=False)
    _, task = settings.build(TaskInputs(setup=laid, learners=learners))
    assert isinstance(task, LcmTask)
    assert task.guidance_range is not None
    low, high = task.guidance_range
    assert settings.student_guidance == guidance
    assert low <= guidance <= high
    assert low < high
