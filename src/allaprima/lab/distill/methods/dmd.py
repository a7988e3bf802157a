"""Distribution matching (DMD2 without its GAN, arXiv:2405.14867), data-free: prompts alone.

Two students on one frozen teacher: the painter, and the "fake" network that learns which pictures the painter
makes. Where the teacher (with guidance) and the fake one disagree about the painter's pictures, the painter is
pushed from the fake one's opinion to the teacher's:

    picture  = the painter's, from noise, along the very levels it will paint with (backward simulation)
    gradient = (fake's picture - teacher's picture) / mean |picture - teacher's picture|

With `diversity` (DP-DMD, arXiv:2602.03139) the first step instead learns where the guided teacher is after its
own first steps from the same noise, and passes no gradient on: matching distributions alone lets prompts collapse
to one picture. With one step that is the whole way, and the regression of the first DMD (arXiv:2311.18828). Where
the material has the teacher's paths, the lesson is read from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch, DistillData
from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.rollout import StepRule, at, stride
from allaprima.lab.distill.validation import Validation
from allaprima.lab.training.loop import Draw, Turn
from allaprima.paint.sampling.process import Process

_FLOOR = 0.05
"""A sample's norm is at least this: near the end teacher and painter agree, and the quotient would blow up."""


@dataclass(frozen=True, kw_only=True)
class DmdTask:
    """Distribution matching in two turns."""

    student: Learners
    material: DistillData
    steps: int = 4
    guidance: float = 4.0
    """Of the teacher; the fake one is asked without."""
    rule: StepRule = "straight"
    fake_updates: int = 5
    """Of the fake network per update of the painter."""
    fake_rate: float = 2.0
    """The fake network's learning rate, as a multiple of the painter's."""
    span: tuple[float, float] = (0.02, 0.98)
    """Between which shares of the way pictures are noised again."""
    diversity: float = 0.0
    """Weight of the first step's own lesson; 0 is DMD2, the DP-DMD paper has 0.05."""
    anchor_steps: int = 12
    """About so many are the teacher's steps for the whole way, of which the first step's lesson takes its share."""
    exam: Validation | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The fake network's, then the painter's."""
        fake = Turn(
            name=FAKE,
            parameters=self.student.learned(FAKE),
            loss=self.fake_loss,
            rate=self.fake_rate,
            times=self.fake_updates,
        )
        return (fake, Turn(name=STUDENT, parameters=self.student.learned(), loss=self.loss))

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """The painter's: distribution matching, and the first step's lesson if there is one."""
        assert isinstance(model, Learners)
        batch = self.material.batch(draw)
        first = 1 if self.diversity and self.steps > 1 else 0
        picture = self.paint(model, batch, draw, first)
        x, t, _ = self._noised(model.process, picture.detach(), draw)
        with torch.no_grad():
            real = model.process.clean(x, t, model.guided(x, t, batch.text, batch.empty, self.guidance))
            fake = model.process.clean(x, t, model.predict(x, t, batch.text, FAKE))
        gradient = matching_gradient(picture.detach(), real, fake)
        matching = 0.5 * (picture - (picture - gradient).detach()).square().mean()
        values = {"loss": matching, "matching": matching.detach(), "gap": (real - fake).square().mean()}
        if self.diversity:
            anchor = self._anchor_loss(model, batch)
            values["loss"] = matching + self.diversity * anchor
            values["anchor"] = anchor.detach()
        return values

    def fake_loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """The fake network's: it denoises the painter's pictures."""
        assert isinstance(model, Learners)
        batch = self.material.batch(draw)
        with torch.no_grad():
            picture = self.paint(model, batch, draw)
        x, t, _ = self._noised(model.process, picture, draw)
        answer = model.predict(x, t, batch.text, FAKE)
        return {"loss": (answer - model.process.answer(x, t, picture)).square().mean()}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Sit the exam."""
        if self.exam is not None:
            assert isinstance(model, Learners)
            self.exam.sit(model, folder, step)

    def paint(self, model: Learners, batch: DistillBatch, draw: Draw, first: int = 0) -> Tensor:
        """The picture the painter names at a random step of its own way; that step alone carries the gradient.

        Args:
            model: the students.
            batch: noise and prompts.
            draw: chooses the step, the same for all rows.
            first: the earliest step that may be chosen.
        """
        process, levels = model.process, model.process.levels(self.steps)
        chosen = first + int(torch.rand((), generator=draw.generator) * (self.steps - first))
        fresh = partial(_fresh, draw, batch.noise)
        x = batch.noise
        with torch.no_grad():
            for step in range(chosen):
                answer = model.predict(x, at(levels[step], x), batch.text)
                x = stride(process, answer, x, levels[step], levels[step + 1], self.rule, fresh)
        t = at(levels[chosen], x)
        return process.clean(x, t, model.predict(x, t, batch.text))

    def _noised(self, process: Process, picture: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        """One noise and one time, for all who are asked about the picture."""
        low, high = self.span
        t = process.times(low + (high - low) * draw.uniform()).to(picture.device)
        noise = _fresh(draw, picture)
        return process.mix(picture, noise, t), t, noise

    def _anchor_loss(self, model: Learners, batch: DistillBatch) -> Tensor:
        """The first step goes where the guided teacher goes from the same noise in many."""
        process, levels = model.process, model.process.levels(self.steps)
        x = self._anchor(model, batch)
        t, after = at(levels[0], x), at(levels[1], x)
        wanted = process.answer(batch.noise, t, process.solve(batch.noise, t, x, after))
        return (model.predict(batch.noise, t, batch.text) - wanted).square().mean()

    def _anchor(self, model: Learners, batch: DistillBatch) -> Tensor:
        """Where the guided teacher is after the first step's share of its way."""
        if batch.path is not None:
            return batch.path[:, batch.stops_per_step(self.steps)]
        share = max(1, round(self.anchor_steps / self.steps))
        process, fine = model.process, model.process.levels(share * self.steps)
        x = batch.noise
        for step in range(share):
            answer = model.guided(x, at(fine[step], x), batch.text, batch.empty, self.guidance)
            x = stride(process, answer, x, fine[step], fine[step + 1])
        return x


def matching_gradient(picture: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Which way to move against: from the teacher's picture to the fake one's, over each sample's distance.

    Yin et al. 2024 (arXiv:2311.18828, equations 7 and 8), in the form of pictures: descending it makes the painter's
    pictures likelier to the teacher and less likely to the network that knows them.
    """
    distance = (picture - real).abs().mean((1, 2, 3), keepdim=True).clamp(min=_FLOOR)
    return (fake - real) / distance


def _fresh(draw: Draw, like: Tensor) -> Tensor:
    return draw.noise(*like.shape[1:])
