"""Distribution matching (DMD2 without its GAN, arXiv:2405.14867), data-free: prompts alone.

Two learners on one frozen teacher: the student, and the "fake" network that learns which pictures the student
paints. Where the teacher (with guidance) and the fake one disagree about the student's pictures, the student is
pushed from the fake one's prediction to the teacher's:

    picture  = the student's, from noise, along the very timesteps it will paint with (backward simulation)
    gradient = (fake's picture - teacher's picture) / mean |picture - teacher's picture|

With `diversity` (DP-DMD, arXiv:2602.03139) the first step instead learns where the guided teacher is after its
own first steps from the same noise, and passes no gradient on: matching distributions alone lets prompts collapse
to one picture. With one step that is the whole way, and the regression of the first DMD (arXiv:2311.18828). Where
the material has the teacher's trajectories, the lesson is read from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.learners import FAKE, LayerRanks, Learners
from allaprima.lab.distill.methods.method import MethodSettings, MethodTask, TaskInputs
from allaprima.lab.distill.rollout import StudentSampler, at, rollout
from allaprima.lab.distill.target_modules import find_target_modules, uniform_ranks
from allaprima.lab.distill.teacher import TeacherSetup
from allaprima.lab.training.loop import Draw, Turn, TurnTask
from allaprima.paint.sampling.process import TrainingProcess

_SPAN = (0.02, 0.98)
"""Between which shares of the way pictures are noised again."""
_FLOOR = 0.05
"""A sample's norm is at least this: near the end teacher and student agree, and the quotient would blow up."""


@dataclass(frozen=True, kw_only=True)
class DmdSettings(MethodSettings):
    """Settings of distribution matching."""

    method: ClassVar[str] = "dmd"
    learning_rate: ClassVar[float] = 2e-4
    needs_pictures: ClassVar[bool] = False
    diversity: float = 0.0
    fake_updates: int = 5

    @property
    def follows_trajectories(self) -> bool:
        """Whether the first step has a lesson of its own."""
        return self.diversity > 0

    def opponents(self, setup: TeacherSetup, ranks: LayerRanks | None) -> Mapping[str, LayerRanks | None]:
        """Return the fake network's ranks: it must follow the student anywhere, so it may change everywhere."""
        if self.whole:
            return {FAKE: None}
        return {FAKE: uniform_ranks(find_target_modules(setup.network), max((ranks or {"": 16}).values()))}

    def build(self, given: TaskInputs) -> tuple[nn.Module, TurnTask]:
        """Return the learners themselves, and the task."""
        return given.learners, DmdTask(
            learners=given.learners,
            material=given.setup.material,
            guidance=self.guidance,
            validation=given.validation,
            steps=self.steps,
            sampler=self.sampler,
            diversity=self.diversity,
            fake_updates=self.fake_updates,
        )


@dataclass(frozen=True, kw_only=True)
class DmdTask(MethodTask):
    """Distribution matching in two turns; the fake network is asked without guidance."""

    steps: int = 4
    sampler: StudentSampler = "euler"
    fake_updates: int = 5
    """Of the fake network per update of the student."""
    fake_rate: float = 2.0
    """The fake network's learning rate, as a multiple of the student's."""
    diversity: float = 0.0
    """Weight of the first step's own lesson; 0 is DMD2, the DP-DMD paper has 0.05."""
    anchor_steps: int = 12
    """About so many are the teacher's steps for the whole way, of which the first step's lesson takes its share."""

    @property
    def opponent_turns(self) -> tuple[Turn, ...]:
        """The fake network's."""
        fake = Turn(
            name=FAKE,
            parameters=self.learners.learned(FAKE),
            loss=self.fake_loss,
            rate=self.fake_rate,
            times=self.fake_updates,
        )
        return (fake,)

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the student's: distribution matching, and the first step's lesson if there is one."""
        learners = self.learners_of(model)
        batch = self.material.batch(draw)
        first = 1 if self.diversity and self.steps > 1 else 0
        picture = self.paint(learners, batch, draw, first)
        x, t = self._noised(learners.process, picture.detach(), draw)
        with torch.no_grad():
            real = learners.process.clean(x, t, learners.guided(x, t, batch.text, batch.empty, self.guidance))
            fake = learners.process.clean(x, t, learners.predict(x, t, batch.text, FAKE))
        gradient = matching_gradient(picture.detach(), real, fake)
        matching = 0.5 * (picture - (picture - gradient).detach()).square().mean()
        values = {"loss": matching, "matching": matching.detach(), "gap": (real - fake).square().mean()}
        if self.diversity:
            anchor = self._anchor_loss(learners, batch)
            values["loss"] = matching + self.diversity * anchor
            values["anchor"] = anchor.detach()
        return values

    def fake_loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the fake network's: it denoises the student's pictures."""
        learners = self.learners_of(model)
        batch = self.material.batch(draw)
        with torch.no_grad():
            picture = self.paint(learners, batch, draw)
        x, t = self._noised(learners.process, picture, draw)
        predicted = learners.predict(x, t, batch.text, FAKE)
        return {"loss": (predicted - learners.process.prediction(x, t, picture)).square().mean()}

    def paint(self, learners: Learners, batch: DistillBatch, draw: Draw, first: int = 0) -> Tensor:
        """Return the student's picture at a random step of its own way; that step alone carries the gradient.

        Args:
            draw: chooses the step, the same for all rows.
            first: the earliest step that may be chosen.
        """
        process, timesteps = learners.process, learners.process.timesteps(self.steps)
        chosen = first + int(torch.rand((), generator=draw.generator) * (self.steps - first))
        model = partial(learners.predict, text=batch.text)
        with torch.no_grad():
            fresh = partial(draw.noise, *batch.noise.shape[1:])
            x = rollout(process, model, batch.noise, timesteps[: chosen + 1], self.sampler, fresh)
        t = at(timesteps[chosen], x)
        return process.clean(x, t, model(x, t))

    def _noised(self, process: TrainingProcess, picture: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return the picture at a time, and the time, the same for all who are asked about it."""
        low, high = _SPAN
        t = process.times(low + (high - low) * draw.uniform()).to(picture.device)
        return process.mix(picture, draw.noise(*picture.shape[1:]), t), t

    def _anchor_loss(self, learners: Learners, batch: DistillBatch) -> Tensor:
        """Return how far the first step is from where the guided teacher goes from the same noise in many."""
        process, timesteps = learners.process, learners.process.timesteps(self.steps)
        x = self.anchor(learners, batch)
        t, after = at(timesteps[0], x), at(timesteps[1], x)
        wanted = process.prediction(batch.noise, t, process.solve(batch.noise, t, x, after))
        return (learners.predict(batch.noise, t, batch.text) - wanted).square().mean()

    def anchor(self, learners: Learners, batch: DistillBatch) -> Tensor:
        """Return where the guided teacher is after the first step's share of its way."""
        if batch.trajectory is not None:
            return batch.trajectory[:, batch.stops_per_step(self.steps)]
        share = max(1, round(self.anchor_steps / self.steps))
        timesteps = learners.process.timesteps(share * self.steps)[: share + 1]
        model = partial(learners.guided, text=batch.text, empty=batch.empty, guidance=self.guidance)
        return rollout(learners.process, model, batch.noise, timesteps)


def matching_gradient(picture: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Return the gradient for a picture: from the teacher's picture to the fake one's, over each sample's distance.

    Yin et al. 2024 (arXiv:2311.18828, equations 7 and 8), in the form of pictures: descending it makes the student's
    pictures likelier to the teacher and less likely to the network that knows them.
    """
    distance = (picture - real).abs().mean((1, 2, 3), keepdim=True).clamp(min=_FLOOR)
    return (fake - real) / distance
