"""Adversarial diffusion distillation (Sauer et al. 2023, arXiv:2311.17042).

The student paints from a noised real picture in one step, at one of its few levels. A critic with frozen eyes and
light heads tells its pictures from real ones; a distillation term draws them to what the guided teacher makes of
them when they are noised again. Three arms, as in the paper's table: adversarial only, distillation only, both.

The latent variant sees with the teacher's own features and needs no decoder; the pixel variant decodes and sees
with an image network, as the paper does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch, DistillData
from allaprima.lab.distill.discriminator import Discriminator, FeatureExtractor, summary
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.validation import Validation
from allaprima.lab.training.loop import Draw, Turn
from allaprima.paint.contract.base import TextStates

HEADS = "heads"


class AdversarialModel(nn.Module):
    """Student and critic in one module, for the loop."""

    def __init__(self, student: Learners, heads: Discriminator) -> None:
        super().__init__()
        self.student = student
        self.heads = heads


@dataclass(frozen=True, kw_only=True)
class AddTask:
    """Adversarial and distillation loss in two turns."""

    duel: AdversarialModel
    material: DistillData
    eyes: FeatureExtractor
    steps: int = 4
    guidance: float = 4.0
    adversarial: float = 1.0
    """Weight of the critic's opinion; 0 leaves the critic out."""
    distillation: float = 2.5
    """Weight of the teacher's opinion (the paper's lambda); 0 leaves it out."""
    r1: float = 1e-5
    """Weight of the gradient penalty on the heads' inputs, on real pictures."""
    head_rate: float = 2.0
    """The heads' learning rate, as a multiple of the student's."""
    head_updates: int = 1
    look_mean: float = 0.0
    look_deviation: float = 1.0
    """The critic looks through noise of logit-normal times."""
    exam: Validation | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The heads', unless they have no say, then the student's."""
        student = Turn(name=STUDENT, parameters=self.duel.student.learned(), loss=self.loss)
        if not self.adversarial:
            return (student,)
        heads = Turn(
            name=HEADS,
            parameters=tuple(self.duel.heads.parameters()),
            loss=self.head_loss,
            rate=self.head_rate,
            times=self.head_updates,
        )
        return (heads, student)

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """The student's: fool the critic, and please the teacher."""
        assert isinstance(model, AdversarialModel)
        batch = self.material.batch(draw)
        painted = self._paint(model.student, batch, draw)
        values: dict[str, Tensor] = {"loss": painted.new_zeros(())}
        if self.adversarial:
            noise, t = self._look_through(model.student, painted, draw)
            maps = self.eyes.look(model.student, painted, noise, t, batch.text)
            values["fooling"] = -model.heads(maps, summary(batch.text)).mean()
            values["loss"] = values["loss"] + self.adversarial * values["fooling"]
        if self.distillation:
            values["distance"] = self._distance(model.student, painted, batch, draw)
            values["loss"] = values["loss"] + self.distillation * values["distance"]
        return values

    def head_loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """The heads': hinge loss, and R1 on what they are shown of real pictures."""
        assert isinstance(model, AdversarialModel)
        batch = self.material.batch(draw)
        words = summary(batch.text)
        with torch.no_grad():
            painted = self._paint(model.student, batch, draw)
            noise, t = self._look_through(model.student, painted, draw)
            shown_fake, shown_real = self.show(model.student, painted, batch.pictures(), noise, t, batch.text)
        for one in shown_real:
            one.requires_grad_(True)
        real, fake = model.heads(shown_real, words), model.heads(shown_fake, words)
        hinge = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
        slopes = torch.autograd.grad(real.sum(), shown_real, create_graph=True)
        penalty = torch.stack([slope.square().sum((1, 2, 3)).mean() for slope in slopes]).mean()
        return {
            "loss": hinge + self.r1 * penalty,
            "hinge": hinge.detach(),
            "r1": penalty.detach(),
            "right": ((real > 0).float().mean() + (fake < 0).float().mean()).detach() / 2,
        }

    def show(
        self, model: Learners, painted: Tensor, real: Tensor, noise: Tensor, t: Tensor, text: TextStates
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What the critic sees of painted and of real pictures: through the same noise, at the same times."""
        return (
            self.eyes.look(model, painted, noise, t, text),
            self.eyes.look(model, real, noise, t, text),
        )

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Sit the exam."""
        if self.exam is not None:
            assert isinstance(model, AdversarialModel)
            self.exam.sit(model.student, folder, step)

    def _paint(self, model: Learners, batch: DistillBatch, draw: Draw) -> Tensor:
        """The student's picture from a real one, noised to one of the levels it will paint at."""
        process = model.process
        levels = torch.tensor(process.levels(self.steps)[:-1])
        which = (draw.uniform() * self.steps).long().clamp(max=self.steps - 1)
        t = levels[which].to(batch.noise.device)
        x = process.mix(batch.pictures(), batch.noise, t)
        # Painting begins at noise alone, so that is what the first level must learn from.
        first = (which == 0).to(x.device)[:, None, None, None]
        x = torch.where(first, batch.noise, x)
        return process.clean(x, t, model.predict(x, t, batch.text))

    def _look_through(self, model: Learners, painted: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        share = torch.sigmoid(self.look_mean + self.look_deviation * draw.normal())
        noise = draw.noise(*painted.shape[1:])
        return noise, model.process.times(share).to(painted.device)

    def _distance(self, model: Learners, painted: Tensor, batch: DistillBatch, draw: Draw) -> Tensor:
        """How far the guided teacher would move the painted picture, weighted by alpha as in the paper."""
        process = model.process
        t = process.times(draw.uniform().clamp(0.02, 0.98)).to(painted.device)
        noise = draw.noise(*painted.shape[1:])
        x = process.mix(painted.detach(), noise, t)
        taught = process.clean(x, t, model.guided(x, t, batch.text, batch.empty, self.guidance))
        weight = process.alpha_sigma(t)[0]
        return (weight * (painted - taught).square()).mean()
