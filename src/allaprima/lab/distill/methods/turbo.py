"""Turbo: a LoRA where text steers the picture, trained to take the teacher's many steps in a few.

The article this follows trains a flow-matching loss and, where noise is high, adds a penalty on structural
dissimilarity, so that the first steps already show what the last will. Its snippet draws the noise twice (so its
target is not the velocity of its input) and compares velocities; here there is one noise, and the penalty
compares pictures:

    x0* = the picture whose one step from x_t ends where the teacher's 48 / steps steps end
    loss = |predicted - prediction(x0*)|^2 + penalty * [t in the noisiest quarter] * (1 - SSIM(x0, picture))

With `coupling="data"` x0* is the training picture itself, which is the article's loss to the letter: it can
improve a picture but not shorten a path, because the best answer to it is the teacher's own velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.methods.method import Coupling, MethodSettings, MethodTask, TaskInputs
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.training.loop import Draw, TurnTask

RANGE = 8.0
"""How far latents spread: they are whitened, so nearly all lie within 4 of zero."""


@dataclass(frozen=True, kw_only=True)
class TurboSettings(MethodSettings):
    """Settings of step compression."""

    method: ClassVar[str] = "turbo"
    learning_rate: ClassVar[float] = 1e-3
    sampler: StudentSampler = field(default="euler", init=False)
    """What it learns are Euler's steps."""
    penalty: float = 1.0
    coupling: Coupling = "teacher"

    @property
    def coupling_of_ranks(self) -> Coupling:
        """As the training."""
        return self.coupling

    @property
    def follows_trajectories(self) -> bool:
        """Whether the teacher is followed at all."""
        return self.coupling == "teacher"

    def build(self, given: TaskInputs) -> tuple[nn.Module, TurnTask]:
        """Return the learners themselves, and the task."""
        return given.learners, TurboTask(
            learners=given.learners,
            material=given.setup.material,
            guidance=self.guidance,
            validation=given.validation,
            steps=self.steps,
            teacher_steps=self.teacher_steps,
            penalty=self.penalty,
            coupling=self.coupling,
        )


@dataclass(frozen=True, kw_only=True)
class TurboTask(MethodTask):
    """Step compression by flow matching; see the module's docstring."""

    steps: int = 4
    teacher_steps: int = 48
    """Of the teacher's whole way; a multiple of `steps`. Where trajectories are given, theirs count."""
    coupling: Coupling = "teacher"
    penalty: float = 1.0
    """Weight of the dissimilarity; the article has 10 on a loss of another scale."""
    early: float = 0.75
    """The penalty holds where noisiness is at least this."""

    def __post_init__(self) -> None:
        """Refuse steps that are no stops of the teacher's."""
        if self.teacher_steps % self.steps:
            raise UserError(
                f"got {self.steps} steps of a teacher with {self.teacher_steps}; expected a divisor of them"
            )

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the squared error of the prediction, and the penalty."""
        learners = self.learners_of(model)
        process = learners.process
        batch = self.material.batch(draw)
        which = (draw.uniform() * self.steps).long().clamp(max=self.steps - 1)
        x, t, wanted, picture = self.lesson(learners, batch, which)
        predicted = learners.predict(x, t, batch.text)
        flow = (predicted - process.prediction(x, t, wanted)).square().mean()
        dissimilarity = 1 - similarity(process.clean(x, t, predicted), picture)
        penalty = ((process.noisiness(t) >= self.early) * dissimilarity).mean()
        return {"loss": flow + self.penalty * penalty, "flow": flow.detach(), "penalty": penalty.detach()}

    @torch.no_grad()
    def lesson(
        self, learners: Learners, batch: DistillBatch, which: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return where the student stands, when, the picture to predict, and the one the teacher's way ends at.

        Args:
            which: (B,) the step of each row.
        """
        process = learners.process
        timesteps = torch.tensor(process.timesteps(self.steps))
        t, after = (timesteps[which + ahead].to(batch.noise.device) for ahead in (0, 1))
        if batch.trajectory is not None and self.coupling == "teacher":
            rows, every = torch.arange(len(which)), batch.stops_per_step(self.steps)
            x, x_after = batch.trajectory[rows, which * every], batch.trajectory[rows, (which + 1) * every]
            return x, t, process.solve(x, t, x_after, after), batch.trajectory[:, -1]
        clean = batch.pictures()
        x = process.mix(clean, batch.noise, t)
        if self.coupling == "data":
            return x, t, clean, clean
        wanted = process.solve(x, t, self._follow_teacher(learners, batch, x, which), after)
        return x, t, wanted, wanted

    def _follow_teacher(self, learners: Learners, batch: DistillBatch, x: Tensor, which: Tensor) -> Tensor:
        """Follow the guided teacher from each row's timestep to its next."""
        process, every = learners.process, self.teacher_steps // self.steps
        timesteps = torch.tensor(process.timesteps(self.teacher_steps))
        for step in range(every):
            t, after = (timesteps[which * every + step + ahead].to(x.device) for ahead in (0, 1))
            predicted = learners.guided(x, t, batch.text, batch.empty, self.guidance)
            x = process.step(x, t, after, predicted)
        return x


def similarity(pictures: Tensor, targets: Tensor) -> Tensor:
    """Return the structural similarity of latents, (B,); Wang et al. 2004, with a window of 9 cells."""
    scores = structural_similarity_index_measure(
        pictures, targets.detach(), sigma=1.0, data_range=RANGE, reduction="none"
    )
    assert isinstance(scores, Tensor)
    return scores.reshape(len(pictures))
