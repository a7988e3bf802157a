"""Turbo: a LoRA where text steers the picture, trained to take the teacher's many steps in a few.

The article this follows trains a flow-matching loss and, where noise is high, adds a penalty on structural
dissimilarity, so that the first steps already show what the last will. Its snippet draws the noise twice (so its
target is not the velocity of its input) and compares velocities; here there is one noise, and the penalty
compares pictures:

    x0* = the picture whose one step from x_t ends where the teacher's 48 / steps steps end
    loss = |answer - answer(x0*)|^2 + penalty * [t in the noisiest quarter] * (1 - SSIM(x0, picture))

With `coupling="data"` x0* is the training picture itself, which is the article's loss to the letter: it can
improve a picture but not shorten a path, because the best answer to it is the teacher's own velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillBatch, DistillData
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.validation import Validation
from allaprima.lab.training.loop import Draw, Turn

RANGE = 8.0
"""How far latents spread: they are whitened, so nearly all lie within 4 of zero."""


@dataclass(frozen=True, kw_only=True)
class TurboTask:
    """Step compression by flow matching; see the module's docstring."""

    student: Learners
    material: DistillData
    steps: int = 4
    guidance: float = 4.0
    teacher_steps: int = 48
    """Of the teacher's whole way; a multiple of `steps`. Where paths are given, theirs count."""
    coupling: Literal["teacher", "data"] = "teacher"
    penalty: float = 1.0
    """Weight of the dissimilarity; the article has 10 on a loss of another scale."""
    early: float = 0.75
    """The penalty holds where noisiness is at least this."""
    exam: Validation | None = None

    def __post_init__(self) -> None:
        """Refuse steps that are no stops of the teacher's."""
        if self.teacher_steps % self.steps:
            raise UserError(
                f"got {self.steps} steps of a teacher with {self.teacher_steps}; expected a divisor of them"
            )

    @property
    def turns(self) -> tuple[Turn, ...]:
        """One: the student's."""
        return (Turn(name=STUDENT, parameters=self.student.learned(), loss=self.loss),)

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Squared error of the answer, and the penalty."""
        assert isinstance(model, Learners)
        process = model.process
        batch = self.material.batch(draw)
        which = (draw.uniform() * self.steps).long().clamp(max=self.steps - 1)
        x, t, wanted, picture = self._lesson(model, batch, which)
        answer = model.predict(x, t, batch.text)
        flow = (answer - process.answer(x, t, wanted)).square().mean()
        likeness = similarity(process.clean(x, t, answer), picture)
        penalty = ((process.noisiness(t) >= self.early) * (1 - likeness)).mean()
        return {"loss": flow + self.penalty * penalty, "flow": flow.detach(), "penalty": penalty.detach()}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Sit the exam."""
        if self.exam is not None:
            assert isinstance(model, Learners)
            self.exam.sit(model, folder, step)

    @torch.no_grad()
    def _lesson(
        self, model: Learners, batch: DistillBatch, which: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where the student stands, when, the picture its answer ought to mean, and the one the way ends at."""
        process = model.process
        levels = torch.tensor(process.levels(self.steps))
        t, after = (levels[which + ahead].to(batch.noise.device) for ahead in (0, 1))
        if batch.path is not None and self.coupling == "teacher":
            rows, every = torch.arange(len(which)), batch.stops_per_step(self.steps)
            x, x_after = batch.path[rows, which * every], batch.path[rows, (which + 1) * every]
            return x, t, process.solve(x, t, x_after, after), batch.path[:, -1]
        clean = batch.pictures()
        x = process.mix(clean, batch.noise, t)
        if self.coupling == "data":
            return x, t, clean, clean
        wanted = process.solve(x, t, self._teach(model, batch, x, which), after)
        return x, t, wanted, wanted

    def _teach(self, model: Learners, batch: DistillBatch, x: Tensor, which: Tensor) -> Tensor:
        """Follow the guided teacher from each row's level to its next."""
        process, every = model.process, self.teacher_steps // self.steps
        levels = torch.tensor(process.levels(self.teacher_steps))
        for step in range(every):
            t, after = (levels[which * every + step + ahead].to(x.device) for ahead in (0, 1))
            answer = model.guided(x, t, batch.text, batch.empty, self.guidance)
            x = process.step(x, t, after, answer)
        return x


def similarity(pictures: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity of latents, (B,); Wang et al. 2004, with a window of 9 cells."""
    scores = structural_similarity_index_measure(
        pictures, targets.detach(), sigma=1.0, data_range=RANGE, reduction="none"
    )
    assert isinstance(scores, Tensor)
    return scores.reshape(len(pictures))
