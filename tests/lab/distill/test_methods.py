"""Each method on tiny teachers of the real classes: losses fall, gradients reach what they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import FAMILIES, SHAPES, TEXT_WIDTH, Pictures, draw, teacher, texts
from torch import nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.discriminator import Discriminator, PixelFeatures, TeacherFeatures, summary
from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.methods.add import HEADS, AddTask, AdversarialModel
from allaprima.lab.distill.methods.dmd import DmdTask, matching_gradient
from allaprima.lab.distill.methods.lcm import LcmTask
from allaprima.lab.distill.methods.turbo import TurboTask, similarity
from allaprima.lab.distill.target_modules import find_target_modules, uniform_ranks
from allaprima.lab.distill.trajectories import (
    Trajectories,
    TrajectorySettings,
    build_trajectories,
    walk_trajectories,
)
from allaprima.lab.distill.validation import ValidationSettings, prepare_validation
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.lab.training.loop import LoopConfig, TurnTask, train
from allaprima.paint.sampling.process import VariancePreserving

METHODS = ("turbo", "lcm", "add", "dmd")
_WIDTHS = {"vignette": [32, 32], "qwen-image": [32, 32], "sdxl": [16, 32]}


def make(method: str, family: str, *, whole: bool = False, **more: Any) -> tuple[nn.Module, Any]:
    """A model for the loop and its task."""
    network = teacher(family)
    ranks = None if whole else uniform_ranks(find_target_modules(network), 4)
    learners = {STUDENT: ranks, FAKE: ranks} if method == "dmd" else {STUDENT: ranks}
    student = Learners(network, learners)
    material = Pictures(family)
    settings: dict[str, Any] = {"material": material, "guidance": 2.0, **more}
    if method == "turbo":
        return student, TurboTask(learners=student, teacher_steps=8, **settings)
    if method == "lcm":
        return student, LcmTask(learners=student, **settings)
    if method == "dmd":
        return student, DmdTask(learners=student, **{"fake_updates": 2, **settings})
    text_width = 8 if family == "sdxl" else TEXT_WIDTH[family]
    duel = AdversarialModel(student, Discriminator(_WIDTHS[family], text_width, hidden=16))
    return duel, AddTask(
        learners=student, discriminator=duel.heads, features=TeacherFeatures((0, 1)), **settings
    )


def plan(folder: Path, steps: int, **more: Any) -> LoopConfig:
    """A short training."""
    settings: dict[str, Any] = {
        "batch_size": 4,
        "learning_rate": 4e-3,
        "warmup_steps": 2,
        "save_every": 3,
        **more,
    }
    return LoopConfig(folder=folder, steps=steps, **settings)


def touched(model: nn.Module) -> set[str]:
    """The parameters that have a gradient other than zero."""
    return {name for name, one in model.named_parameters() if one.grad is not None and bool(one.grad.any())}


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
    train(model, task, plan(tmp_path, 12 if family == "sdxl" else 25, batch_size=8))
    with torch.no_grad():
        after = sum(float(task.loss(model, draw(100 + n, 8))["loss"]) for n in range(4))
    assert after < 0.9 * before


def test_whole_networks_learn_too(tmp_path: Path) -> None:
    model, task = make("turbo", "vignette", whole=True, coupling="data")
    with torch.no_grad():
        before = float(task.loss(model, draw(9, 8))["loss"])
    train(model, task, plan(tmp_path, 15, learning_rate=2e-3))
    with torch.no_grad():
        assert float(task.loss(model, draw(9, 8))["loss"]) < before


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fake_network_learns_what_the_painter_paints(family: str, tmp_path: Path) -> None:
    model, task = make("dmd", family, fake_updates=3)
    with torch.no_grad():
        before = sum(float(task.fake_loss(model, draw(50 + n, 8))["loss"]) for n in range(3))
    train(model, task, plan(tmp_path, 4 if family == "sdxl" else 8, batch_size=4, learning_rate=2e-3))
    with torch.no_grad():
        after = sum(float(task.fake_loss(model, draw(50 + n, 8))["loss"]) for n in range(3))
    assert after < before


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


def test_similarity_is_one_for_equals_and_follows_structure() -> None:
    one = torch.randn(2, 4, 12, 12)
    assert torch.allclose(similarity(one, one), torch.ones(2), atol=1e-4)
    assert (similarity(one, torch.zeros_like(one)) < 0.9).all()


def test_turbo_on_the_articles_own_coupling_wants_the_pictures_velocity() -> None:
    model, task = make("turbo", "vignette", coupling="data", penalty=0.0)
    assert isinstance(model, Learners)
    x, t, wanted, _ = task.lesson(model, batch := task.material.batch(draw(1)), torch.tensor([0, 1, 2, 3]))
    assert torch.equal(wanted, batch.clean)
    late = slice(1, 4)
    velocity = model.process.prediction(x, t, wanted)
    assert torch.allclose(velocity[late], (batch.noise - batch.clean)[late], atol=1e-4)


def test_paths_are_the_teachers(tmp_path: Path) -> None:
    student, known = Learners(teacher("vignette"), {}), texts("vignette")
    settings = TrajectorySettings(count=5, steps=8, stops=4, guidance=2.0)
    build_trajectories(tmp_path / "whole", student, known, SHAPES["vignette"], settings, batch=2)
    whole = Trajectories.open(tmp_path / "whole", known)
    assert whole.latents.shape == (5, 5, *SHAPES["vignette"])
    batch: DistillBatch = whole.batch(draw(0))
    assert batch.trajectory is not None
    walked = walk_trajectories(student, batch.noise, batch.text, batch.empty, settings)
    assert torch.allclose(walked, batch.trajectory, atol=0.05)
    # the lesson from a path is the lesson from asking the teacher
    model, task = make("turbo", "vignette", penalty=0.0)
    assert isinstance(model, Learners)
    which = torch.tensor([0, 0, 0, 0])
    _, t, wanted, _ = task.lesson(model, batch, which)
    levels = model.process.timesteps(4)
    after = torch.full((4,), levels[1])
    assert torch.allclose(model.process.solve(batch.noise, t, walked[:, 1], after), wanted, atol=0.3)
    # and so is the first step's in distribution matching, of one step or more
    for steps in (1, 2):
        _, matching = make("dmd", "vignette", steps=steps, diversity=1.0)
        assert torch.equal(matching.anchor(model, batch), batch.trajectory[:, 4 // steps])
    with pytest.raises(UserError, match="4 stops for 3 steps"):
        batch.stops_per_step(3)


@pytest.mark.parametrize("method", METHODS)
def test_stopped_and_resumed_gives_the_same_bits(method: str, tmp_path: Path) -> None:
    for folder, stops in (("whole", (4,)), ("parts", (2, 4))):
        for steps in stops:
            model, task = make(method, "vignette")
            train(model, task, plan(tmp_path / folder, steps, save_every=2))
    whole, parts = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    names = {name.split(".", 1)[0] for name in whole}
    assert names == {"model", "average", "optimizer"}
    assert not any("base_layer.weight" in name for name in whole)


def test_the_exam_scores_keeps_the_best_and_reads_the_teachers_answers_again(tmp_path: Path) -> None:
    model, _ = make("turbo", "vignette")
    assert isinstance(model, Learners)
    kept: list[tuple[int, float]] = []
    settings = ValidationSettings(steps=4, teacher_steps=12, guidance=2.0, batch=3, shown=2)

    def exam(keep: Callable[..., None] | None = None, look: Callable[..., torch.Tensor] | None = None) -> Any:
        return prepare_validation(
            tmp_path,
            model,
            texts("vignette"),
            [0, 1, 2, 3],
            SHAPES["vignette"],
            settings,
            decode=lambda latents: latents[:, :3].sigmoid(),
            save_best=keep,
            embed=look,
        )

    first = exam(keep=lambda _student, _folder, step, score: kept.append((step, score)))
    again = exam()
    assert torch.equal(first.teacher_latents, again.teacher_latents)
    score = first.run(model, tmp_path, 10)
    assert score > 0
    assert first.score(first.teacher_latents)["score"] == 0
    # What an image network sees decides where there is one: here one that sees edges, and blur has none.
    seeing = exam(look=lambda latents: latents.diff(dim=-1).abs().mean((1, 2, 3))[:, None])
    blurred = seeing.teacher_latents.mean((2, 3), keepdim=True).expand_as(seeing.teacher_latents)
    strange = seeing.teacher_latents.roll(1, dims=-2)
    blind, sharp = (seeing.score(one) for one in (blurred, strange))
    assert blind["latents"] < sharp["latents"]
    assert sharp["score"] == sharp["features"] < blind["score"]
    with torch.no_grad():
        for parameter in model.learned():
            parameter.add_(0.3)
    worse = first.run(model, tmp_path, 20)
    assert worse > score
    assert first.run(model, tmp_path, 20) == worse
    assert kept == [(10, score)]
    assert len((tmp_path / "exam.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "sample-0000010.png").stat().st_size > 100


def test_tasks_are_turn_tasks() -> None:
    for method in METHODS:
        assert isinstance(make(method, "vignette")[1], TurnTask)


def test_a_budget_stops_the_training_with_a_checkpoint(tmp_path: Path) -> None:
    model, task = make("turbo", "vignette")
    train(model, task, plan(tmp_path, 1000, budget_seconds=0.0))
    tensors, metadata = read_tensors(tmp_path / "checkpoint.safetensors")
    assert metadata["step"] == "1"
    assert tensors
