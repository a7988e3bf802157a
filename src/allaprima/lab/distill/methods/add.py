"""Adversarial diffusion distillation (Sauer et al. 2023, arXiv:2311.17042).

The student paints from a noised real picture in one step, at one of its few timesteps. A discriminator of light heads
on frozen features tells its pictures from real ones; a distillation term draws them to what the guided teacher makes
of them when they are noised again. Three arms, as in the paper's table: adversarial only, distillation only, both.

The latent variant takes its features from the teacher and needs no decoder; the pixel variant decodes and takes them
from an image network, as the paper does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillBatch, to_device
from allaprima.lab.distill.discriminator import (
    Discriminator,
    FeatureExtractor,
    PixelFeatures,
    TeacherFeatures,
    summary,
)
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.methods.method import MethodSettings, MethodTask, TaskInputs
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.training.loop import Draw, Turn, TurnTask

HEADS = "heads"


class AdversarialModel(nn.Module):
    """Learners and discriminator in one module, for the loop; checkpoints hold them by these names."""

    def __init__(self, student: Learners, heads: Discriminator) -> None:
        super().__init__()
        self.student = student
        self.heads = heads


@dataclass(frozen=True, kw_only=True)
class AddSettings(MethodSettings):
    """Settings of adversarial diffusion distillation."""

    method: ClassVar[str] = "add"
    learning_rate: ClassVar[float] = 3e-4
    sampler: StudentSampler = "lcm"
    arm: Literal["both", "adversarial", "distillation"] = "both"
    features: Literal["latent", "pixel"] = "latent"

    def build(self, given: TaskInputs) -> tuple[nn.Module, TurnTask]:
        """Return the learners with a discriminator, and the task."""
        features = self._extractor(given)
        discriminator = _fresh_discriminator(given, features, self.seed)
        task = AddTask(
            learners=given.learners,
            material=given.setup.material,
            guidance=self.guidance,
            validation=given.validation,
            discriminator=discriminator,
            features=features,
            steps=self.steps,
            adversarial=0.0 if self.arm == "distillation" else 1.0,
            distillation=0.0 if self.arm == "adversarial" else 2.5,
        )
        return AdversarialModel(given.learners, discriminator), task

    def _extractor(self, given: TaskInputs) -> FeatureExtractor:
        if self.features == "pixel":
            if given.features is None:
                raise UserError(
                    "got --features pixel without an image network; expected one, or --features latent"
                )
            return PixelFeatures(given.setup.raw_decode, given.features.maps)
        count = len(given.setup.network.blocks)
        return TeacherFeatures(sorted({count // 4, count // 2, 3 * count // 4, count - 1}))


@torch.no_grad()
def _fresh_discriminator(given: TaskInputs, features: FeatureExtractor, seed: int) -> Discriminator:
    """Return a discriminator as wide as the features of one picture and the summary of its prompt."""
    setup, learners = given.setup, given.learners
    text = to_device(setup.texts.empty(1), learners.device)
    x = torch.zeros(1, *setup.shape, device=learners.device)
    t = learners.process.times(torch.full((1,), 0.5, device=learners.device))
    maps = features.extract(learners, x, x, t, text)
    return Discriminator([one.shape[1] for one in maps], summary(text).shape[1], seed=seed)


@dataclass(frozen=True, kw_only=True)
class AddTask(MethodTask):
    """Adversarial and distillation loss in two turns."""

    discriminator: Discriminator
    features: FeatureExtractor
    steps: int = 4
    adversarial: float = 1.0
    """Weight of the discriminator's votes; 0 leaves it out."""
    distillation: float = 2.5
    """Weight of the teacher's pictures (the paper's lambda); 0 leaves them out."""
    r1: float = 1e-5
    """Weight of the gradient penalty on the heads' inputs, on real pictures."""
    head_rate: float = 2.0
    """The heads' learning rate, as a multiple of the student's."""

    @property
    def opponent_turns(self) -> tuple[Turn, ...]:
        """The heads', unless they are left out."""
        if not self.adversarial:
            return ()
        heads = tuple(self.discriminator.parameters())
        return (Turn(name=HEADS, parameters=heads, loss=self.head_loss, rate=self.head_rate),)

    def learners_of(self, model: nn.Module) -> Learners:
        """Return the learners beside the discriminator."""
        assert isinstance(model, AdversarialModel)
        return model.student

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the student's: fool the discriminator, and stay near the teacher."""
        assert isinstance(model, AdversarialModel)
        batch = self.material.batch(draw)
        painted = self._paint(model.student, batch, draw)
        values: dict[str, Tensor] = {"loss": painted.new_zeros(())}
        if self.adversarial:
            noise, t = self._noise(model.student, painted, draw)
            maps = self.features.extract(model.student, painted, noise, t, batch.text)
            values["fooling"] = -model.heads(maps, summary(batch.text)).mean()
            values["loss"] = values["loss"] + self.adversarial * values["fooling"]
        if self.distillation:
            values["distance"] = self._distance(model.student, painted, batch, draw)
            values["loss"] = values["loss"] + self.distillation * values["distance"]
        return values

    def head_loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the heads': hinge loss, and R1 on the features of real pictures."""
        assert isinstance(model, AdversarialModel)
        batch = self.material.batch(draw)
        words = summary(batch.text)
        with torch.no_grad():
            painted = self._paint(model.student, batch, draw)
            noise, t = self._noise(model.student, painted, draw)
            # Both through the same noise, at the same times.
            fake_maps, real_maps = (
                self.features.extract(model.student, clean, noise, t, batch.text)
                for clean in (painted, batch.pictures())
            )
        for features in real_maps:
            features.requires_grad_(True)
        real, fake = model.heads(real_maps, words), model.heads(fake_maps, words)
        hinge = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
        slopes = torch.autograd.grad(real.sum(), real_maps, create_graph=True)
        penalty = torch.stack([slope.square().sum((1, 2, 3)).mean() for slope in slopes]).mean()
        return {
            "loss": hinge + self.r1 * penalty,
            "hinge": hinge.detach(),
            "r1": penalty.detach(),
            "right": ((real > 0).float().mean() + (fake < 0).float().mean()).detach() / 2,
        }

    def _paint(self, learners: Learners, batch: DistillBatch, draw: Draw) -> Tensor:
        """Return the student's picture from a real one, noised to one of the timesteps it will paint at."""
        process = learners.process
        timesteps = torch.tensor(process.timesteps(self.steps)[:-1])
        which = (draw.uniform() * self.steps).long().clamp(max=self.steps - 1)
        t = timesteps[which].to(batch.noise.device)
        x = process.mix(batch.pictures(), batch.noise, t)
        # Painting begins at noise alone, so that is what the first timestep must learn from.
        first = (which == 0).to(x.device)[:, None, None, None]
        x = torch.where(first, batch.noise, x)
        return process.clean(x, t, learners.predict(x, t, batch.text))

    def _noise(self, learners: Learners, painted: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return the noise that features are taken through, and its logit-normal times."""
        share = torch.sigmoid(draw.normal())
        noise = draw.noise(*painted.shape[1:])
        return noise, learners.process.times(share).to(painted.device)

    def _distance(self, learners: Learners, painted: Tensor, batch: DistillBatch, draw: Draw) -> Tensor:
        """Return how far the guided teacher would move the painted picture, weighted by alpha as in the paper."""
        process = learners.process
        t = process.times(draw.uniform().clamp(0.02, 0.98)).to(painted.device)
        noise = draw.noise(*painted.shape[1:])
        x = process.mix(painted.detach(), noise, t)
        taught = process.clean(x, t, learners.guided(x, t, batch.text, batch.empty, self.guidance))
        weight = process.alpha_sigma(t)[0]
        return (weight * (painted - taught).square()).mean()
