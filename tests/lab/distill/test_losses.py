"""What each method computes, against its paper's formula for a network whose pictures are known by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from tests.lab.distill.tiny import draw
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch, PromptTexts
from allaprima.lab.distill.discriminator import Discriminator, PixelFeatures
from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.methods.add import HEADS, AddTask, AdversarialModel
from allaprima.lab.distill.methods.dmd import DmdTask, matching_gradient
from allaprima.lab.distill.methods.lcm import LcmTask
from allaprima.lab.distill.methods.turbo import TurboTask
from allaprima.lab.distill.network import Network
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.distill.validation import ValidationSettings, prepare_validation
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.sampling.process import Flow, TrainingProcess, VariancePreserving

SHAPE = (4, 12, 12)
ROWS = 12
FLOW = Flow(shift=2.0)
PROCESSES = pytest.mark.parametrize(
    "process", [FLOW, VariancePreserving()], ids=["flow", "variance-preserving"]
)
Known = tuple[float, float]
"""`keep` and `say` of a network."""


class Picture(nn.Module):
    """keep x + say words + a colour: what the network holds to be the picture."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.keep, self.say = (nn.Parameter(torch.tensor(one)) for one in known)
        self.time = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.time.weight)

    def forward(self, x: Tensor, t: Tensor, words: Tensor) -> Tensor:
        """The picture, shaped like `x`."""
        told: Tensor = self.time(t[:, None])
        return self.keep * x + self.say * words + told[:, :, None, None]


class Simple(Network):
    """A network of one line, which notes where it is asked; with keep = 0 its picture is the prompt's words."""

    root = "simple"

    def __init__(self, process: TrainingProcess, known: Known) -> None:
        super().__init__(Picture(known), process)
        self.asked: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """No base has it."""
        raise NotImplementedError(base.name)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the prediction that means the picture."""
        self.asked.append((latents.detach(), t))
        return self.process.prediction(latents, t, self.network(latents, t, colours(text)))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The one there is."""
        return [self.network]

    @property
    def time_embedder(self) -> nn.Module:
        """Knows nothing of the time; what is added to it colours the picture."""
        return self.network.get_submodule("time")

    def to_map(self, output: Any, latents: Tensor) -> Tensor:
        """The picture itself."""
        del latents
        found: Tensor = output
        return found


@dataclass(frozen=True)
class Same:
    """One batch for every draw."""

    known: DistillBatch

    def batch(self, draw: Any) -> DistillBatch:
        """The batch."""
        del draw
        return self.known


def words(text: TextStates) -> Tensor:
    """The mean of each prompt's tokens, one by one."""
    rows = zip(text.states, text.mask, strict=True)
    return torch.stack([states[mask].sum(0) / int(mask.sum()) for states, mask in rows])


def colours(text: TextStates) -> Tensor:
    """As pictures of one colour."""
    return words(text)[:, :, None, None].expand(-1, *SHAPE)


def prompts(count: int) -> PromptTexts:
    """Prompts of one to three tokens, as wide as the latents are deep."""
    states = torch.randn(count + 1, 3, 4, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(3)[None] < torch.tensor([1 + row % 3 for row in range(count + 1)])[:, None]
    text = TextStates(states=states, mask=mask)
    return PromptTexts(text=text.rows(range(count)), nothing=text.rows([count]))


def batch_of() -> DistillBatch:
    """Prompts, noise and pictures, the same at every call."""
    generator, known = torch.Generator().manual_seed(2), prompts(ROWS)
    noise, clean = (torch.randn(ROWS, *SHAPE, generator=generator) for _ in range(2))
    return DistillBatch(noise=noise, text=known.take(range(ROWS)), empty=known.empty(ROWS), clean=clean)


def student_of(process: TrainingProcess, teacher: Known, *, width: int = 0, **learners: Known) -> Learners:
    """Whole networks, each with its own idea of the picture."""
    student = Learners(Simple(process, teacher), dict.fromkeys(learners), guidance_width=width)
    for name, (keep, say) in learners.items():
        own = picture_of(student, name)
        with torch.no_grad():
            own.keep.fill_(keep)
            own.say.fill_(say)
    return student


def simple_of(student: Learners, name: str = STUDENT) -> Simple:
    """A learner's network."""
    found = student.of(name)
    assert isinstance(found, Simple)
    return found


def picture_of(student: Learners, name: str = STUDENT) -> Picture:
    """What it believes."""
    found = simple_of(student, name).network
    assert isinstance(found, Picture)
    return found


def guided(batch: DistillBatch, scale: float | Tensor) -> Tensor:
    """The picture that classifier-free guidance makes of prompt and empty prompt; Ho and Salimans 2022."""
    wanted, empty = colours(batch.text), colours(batch.empty)
    return empty + wide(torch.as_tensor(scale).expand(ROWS)) * (wanted - empty)


def wide(t: Tensor) -> Tensor:
    """A number for each row, beside latents."""
    return t[:, None, None, None]


def towards(picture: Tensor, x: Tensor, t: Tensor, after: Tensor) -> Tensor:
    """One step of a flow: straight on towards the picture, which is reached at 0."""
    return picture + wide(after / t) * (x - picture)


def duel_of(process: TrainingProcess, **more: Any) -> tuple[AdversarialModel, AddTask, DistillBatch]:
    """A critic who sees the latents themselves, and whose votes reach beyond 1."""
    batch = batch_of()
    heads = Discriminator([4], 4, hidden=16)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.mul_(2.5)
    duel = AdversarialModel(student_of(process, (0.0, 1.0), student=(0.0, 0.5)), heads)
    return duel, _add_task(duel, batch, **more), batch


def _add_task(model: AdversarialModel, batch: DistillBatch, **more: Any) -> AddTask:
    features = PixelFeatures(lambda latents: latents, lambda pixels: [pixels])
    return AddTask(
        learners=model.student, discriminator=model.heads, material=Same(batch), features=features, **more
    )


# --- adversarial diffusion distillation


@PROCESSES
def test_the_heads_are_taught_by_the_hinge_that_real_is_above_one_and_painted_below_minus_one(
    process: TrainingProcess,
) -> None:
    duel, task, batch = duel_of(process, r1=0.0)
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
        duel, task, batch = duel_of(FLOW, r1=r1)
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
    duel, task, batch = duel_of(FLOW, adversarial=0.7, distillation=0.0)
    with torch.no_grad():
        votes = duel.heads([0.5 * colours(batch.text)], words(batch.text))
    values = task.loss(duel, draw(1, ROWS))
    assert float(values["loss"].detach()) == pytest.approx(-0.7 * float(votes.mean()), rel=1e-4)


def test_heads_hear_the_prompt_by_projection() -> None:
    heads = Discriminator([4], 4, hidden=16)
    batch = batch_of()
    spoken = words(batch.text)
    with torch.no_grad():
        none, once, twice = (heads([batch.pictures()], share * spoken)[0] for share in (0.0, 1.0, 2.0))
    assert ((once - none).abs() > 1e-3).all()
    assert torch.allclose(twice - once, once - none, atol=1e-4)


@PROCESSES
def test_the_distance_to_the_guided_teachers_picture_is_weighted_by_alpha(process: TrainingProcess) -> None:
    duel, task, batch = duel_of(process, adversarial=0.0, distillation=2.5, guidance=3.0)
    distance = task.loss(duel, draw(1, ROWS))["distance"].detach()
    ((_, t),) = simple_of(duel.student, "teacher").asked
    t = t[: len(batch.noise)]  # the teacher is asked with the prompt and without in one batch
    alpha = 1 - t if isinstance(process, Flow) else VariancePreserving().alphas[t.long()].sqrt()
    squares = (0.5 * colours(batch.text) - guided(batch, 3.0)).square().mean((1, 2, 3))
    assert alpha.max() - alpha.min() > 0.3
    assert float(distance) == pytest.approx(float((alpha * squares).mean()), rel=1e-3)


@PROCESSES
def test_the_adversarial_student_learns_its_first_level_from_noise_alone(process: TrainingProcess) -> None:
    duel, task, batch = duel_of(process, steps=2, adversarial=0.0)
    task.loss(duel, draw(1, ROWS))
    ((x, t),) = simple_of(duel.student).asked
    first, second, _ = process.timesteps(2)
    early = t == first
    assert 0 < int(early.sum()) < ROWS
    assert torch.allclose(t[~early], torch.tensor(second))
    assert torch.equal(x[early], batch.noise[early])
    mixed = process.mix(batch.pictures(), batch.noise, t)
    assert torch.equal(x[~early], mixed[~early])


# --- latent consistency


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
    (t,) = {one for _, times in _asked_by(task, student) for one in times.tolist()}
    assert t == process.timesteps(1)[0]
    found = task.loss(student, draw(3, ROWS))["error"]
    x = process.mix(batch.pictures(), batch.noise, torch.full((ROWS,), t))
    scaled = 10 * t  # of a network that tells noise, c_skip and c_out bend even this, if hardly
    skip, out = (0.25 / (scaled**2 + 0.25), scaled / math.sqrt(scaled**2 + 0.25))
    named = 0.5 * colours(batch.text)
    named = named if isinstance(process, Flow) else skip * x + out * named
    assert float(found) == pytest.approx(float((named - guided(batch, 3.0)).square().mean()), rel=1e-3)


def _asked_by(task: LcmTask, student: Learners) -> list[tuple[Tensor, Tensor]]:
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


def test_a_told_student_paints_by_what_it_is_told_in_the_exam_too(tmp_path: Path) -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), width=1, student=(0.0, 0.5))
    embedding = student.guidance
    assert embedding is not None
    with torch.no_grad():
        embedding.project.weight.zero_()
        embedding.project.weight[0, 128] = 1.0  # the cosine of the fastest angle, a thousand times the scale
        scales = torch.linspace(1, 8, ROWS)
        t = torch.full((ROWS,), 0.5)
        answer = student.predict(batch.noise, t, batch.text, guidance=scales)
        painted = FLOW.clean(batch.noise, t, answer)
    expected = 0.5 * colours(batch.text) + wide((1000 * scales).cos())
    assert torch.allclose(painted, expected, atol=1e-3)
    settings = ValidationSettings(steps=2, teacher_steps=2, student_guidance=5.0)
    exam = prepare_validation(tmp_path, student, prompts(3), range(3), SHAPE, settings)
    assert torch.allclose(exam.paint(student), 0.5 * colours(exam.text) + math.cos(5000), atol=1e-3)


# --- distribution matching


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
    moved = _moves(student, task, {name: picture_of(student, name).say for name in (STUDENT, FAKE)}, tmp_path)
    # the first step of Adam is as long as its rate
    assert moved[STUDENT] == pytest.approx(1e-3, rel=1e-2)
    assert moved[FAKE] == pytest.approx(-3e-3, rel=1e-2)


def test_the_heads_learn_at_their_own_rate(tmp_path: Path) -> None:
    duel, task, _ = duel_of(FLOW, head_rate=4.0)
    weight = next(duel.heads.parameters())
    moved = _moves(duel, task, {HEADS: weight, STUDENT: picture_of(duel.student).say}, tmp_path)
    assert abs(moved[HEADS]) == pytest.approx(4e-3, rel=1e-2)
    assert abs(moved[STUDENT]) == pytest.approx(1e-3, rel=1e-2)


def _moves(model: nn.Module, task: Any, watched: dict[str, nn.Parameter], folder: Path) -> dict[str, float]:
    """How far parameters move in one update at a rate of 0.001; of many, the first."""
    before = {name: float(one.detach().flatten()[0]) for name, one in watched.items()}
    config = LoopConfig(folder=folder, steps=1, batch_size=ROWS, learning_rate=1e-3, warmup_steps=0)
    train(model, task, config)
    return {name: float(one.detach().flatten()[0]) - before[name] for name, one in watched.items()}


# --- turbo


def test_a_turbo_step_is_the_guided_teachers_many_at_their_own_levels() -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.4, 1.0), student=(0.3, 0.5))
    task = TurboTask(
        learners=student, material=Same(batch), steps=4, teacher_steps=12, guidance=3.0, penalty=0.0
    )
    flow = task.loss(student, draw(1, ROWS))["flow"]
    ((x, t),) = simple_of(student).asked
    assert torch.allclose(x, wide(1 - t) * batch.pictures() + wide(t) * batch.noise, atol=1e-6)
    coarse, fine = FLOW.timesteps(4), FLOW.timesteps(12)
    which = [min(range(4), key=lambda index: abs(coarse[index] - float(one))) for one in t]
    assert set(which) == {0, 1, 2, 3}
    ends = []
    for row, (start, picture) in enumerate(zip(x, guided(batch, 3.0), strict=True)):
        first = 3 * which[row]
        for time, after in zip(fine[first : first + 3], fine[first + 1 : first + 4], strict=True):
            named = 0.4 * start + picture
            start = named + after / time * (start - named)
        ends.append(start)
    length = t - torch.tensor([coarse[one + 1] for one in which])
    velocity = (x - torch.stack(ends)) / wide(length)
    own = (x - 0.3 * x - 0.5 * colours(batch.text)) / wide(t)
    assert float(flow) == pytest.approx(float((own - velocity).square().mean()), rel=1e-3)


def test_the_penalty_is_the_dissimilarity_from_the_guided_teachers_picture_where_noise_is_high() -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), student=(0.0, 0.5))
    task = TurboTask(
        learners=student, material=Same(batch), teacher_steps=8, guidance=3.0, penalty=2.0, early=0.6
    )
    values = task.loss(student, draw(1, ROWS))
    ((_, t),) = simple_of(student).asked
    mine, theirs = 0.5 * words(batch.text), guided(batch, 3.0)[:, :, 0, 0]
    # Wang et al. 2004, of pictures of one colour: only the term of the means is left; C1 = (0.01 range)^2
    floor = (0.01 * 8.0) ** 2
    likeness = ((2 * mine * theirs + floor) / (mine.square() + theirs.square() + floor)).mean(1)
    early = t >= 0.6
    assert 0 < int(early.sum()) != int((~early).sum())
    penalty = float(((1 - likeness) * early).mean())
    flow = float(((mine - theirs).square().mean(1) / t.square()).mean())
    assert float(values["penalty"]) == pytest.approx(penalty, rel=1e-2)
    assert float(values["loss"].detach()) == pytest.approx(flow + 2.0 * penalty, rel=1e-3)


# --- the exam


@PROCESSES
def test_the_exams_answers_are_the_guided_teachers(process: TrainingProcess, tmp_path: Path) -> None:
    student, known = student_of(process, (0.0, 1.0), student=(0.0, 0.5)), prompts(6)
    settings = ValidationSettings(steps=2, teacher_steps=5, guidance=3.0, batch=4)
    exam = prepare_validation(tmp_path, student, known, [1, 3, 5, 0, 2], SHAPE, settings)
    wanted, empty = colours(known.take([1, 3, 5, 0, 2])), colours(known.empty(5))
    assert torch.allclose(exam.teacher_latents, empty + 3.0 * (wanted - empty), atol=1e-3)
    assert torch.allclose(exam.paint(student), 0.5 * wanted, atol=1e-3)


@PROCESSES
@pytest.mark.parametrize("sampler", ["euler", "lcm"])
def test_in_the_exam_the_student_keeps_its_noise_or_has_new_by_its_own_rule(
    process: TrainingProcess, sampler: StudentSampler, tmp_path: Path
) -> None:
    student = student_of(process, (0.0, 1.0), student=(0.0, 0.5))
    settings = ValidationSettings(steps=3, sampler=sampler, teacher_steps=2, guidance=3.0)
    exam = prepare_validation(tmp_path, student, prompts(5), range(5), SHAPE, settings)
    exam.paint(student)
    named = 0.5 * colours(exam.text)
    noises = []
    for x, t in simple_of(student).asked:
        alpha, sigma = process.alpha_sigma(t)
        noises.append((x - alpha * named) / sigma)
    assert len(noises) == 3
    first = noises[0]
    for before, after in pairwise(noises):
        if sampler == "euler":
            assert torch.allclose(after, first, atol=1e-4)
        else:
            share = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]
            assert abs(float(share)) < 0.1
            assert float(after.std()) == pytest.approx(1.0, abs=0.05)
            assert float(after.mean()) == pytest.approx(0.0, abs=0.05)
