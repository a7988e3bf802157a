"""Latent consistency distillation (Luo et al. 2023, arXiv:2310.04378; as a LoRA arXiv:2311.05556).

The student names the picture at the end of the teacher's way from wherever it stands. It is taught that two
neighbours on one way have the same end: f(x_t) is drawn to f(x_s), where x_s is one guided step of a solver that
skips from t to s = t - skip / solver_steps, and f(x_s) is held fixed. The boundary f(x_0) = x_0 holds by
construction.

The fixed target comes from the student itself, not from an average of it: Song and Dhariwal 2023
(arXiv:2310.14189, section 3.2) show that averaging it hurts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.lab.distill.data import DistillBatch, DistillData
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.validation import Validation
from allaprima.lab.training.loop import Draw, Turn
from allaprima.paint.sampling.process import Flow, Process

_SIGMA_DATA, _TIMESTEP_SCALING = 0.5, 10.0


@dataclass(frozen=True, kw_only=True)
class LcmTask:
    """Consistency along the guided teacher's way."""

    student: Learners
    material: DistillData
    guidance: float = 4.0
    guidance_range: tuple[float, float] | None = None
    """Draw each row's guidance from here and tell it to the student; None keeps `guidance` for all."""
    solver_steps: int = 48
    """The solver's grid; a multiple of the steps one will paint with, so that their levels are trained."""
    skip: int = 1
    """So many grid steps are one step of the solver. The paper's 20 of 1,000 are 1 of 50."""
    huber: float = 0.03
    """Where the loss turns from squared to absolute, per number; of the order of its residual."""
    exam: Validation | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """One: the student's."""
        return (Turn(name=STUDENT, parameters=self.student.learned(), loss=self.loss),)

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Pseudo-Huber distance of two neighbours' pictures."""
        assert isinstance(model, Learners)
        process = model.process
        batch = self.material.batch(draw)
        which = (draw.uniform() * self.solver_steps).long().clamp(max=self.solver_steps - 1)
        levels = torch.tensor(process.levels(self.solver_steps)).to(draw.device)
        t, after = levels[which], levels[(which + self.skip).clamp(max=self.solver_steps)]
        # Where a picture came along the teacher's way its own noise knows it; one paints with fresh noise.
        noise = batch.noise if batch.path is None else draw.noise(*batch.noise.shape[1:])
        x = process.mix(batch.pictures(), noise, t)
        guidance = self._guidance(draw)
        told = None if self.guidance_range is None else torch.as_tensor(guidance)
        with torch.no_grad():
            target = self._target(model, batch, x, t, after, guidance, told)
        found = consistency(process, x, t, model.predict(x, t, batch.text, guidance=told))
        error = (found - target).square()
        loss = ((error + self.huber**2).sqrt() - self.huber).mean()
        return {"loss": loss, "error": error.mean().detach()}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Sit the exam."""
        if self.exam is not None:
            assert isinstance(model, Learners)
            self.exam.sit(model, folder, step)

    def _guidance(self, draw: Draw) -> float | Tensor:
        if self.guidance_range is None:
            return self.guidance
        low, high = self.guidance_range
        return (low + (high - low) * draw.uniform()).to(draw.device)

    def _target(
        self,
        model: Learners,
        batch: DistillBatch,
        x: Tensor,
        t: Tensor,
        after: Tensor,
        guidance: float | Tensor,
        told: Tensor | None,
    ) -> Tensor:
        """The picture the student names one solver step further on."""
        process = model.process
        x_after = process.step(x, t, after, model.guided(x, t, batch.text, batch.empty, guidance))
        # At the end there is nothing left to ask; the network is asked elsewhere and its answer not used.
        arrived = after == process.end
        asked = torch.where(arrived, t, after)
        named = consistency(process, x_after, asked, model.predict(x_after, asked, batch.text, guidance=told))
        return torch.where(arrived[:, None, None, None], x_after, named)


def consistency(process: Process, x: Tensor, t: Tensor, answer: Tensor) -> Tensor:
    """The picture a consistency model names at (x, t).

    For a flow that is x - t v, which is x at t = 0. A network that tells noise is bent towards x at small t
    (LCM's c_skip and c_out with sigma_data 0.5 and times scaled by 10).
    """
    clean = process.clean(x, t, answer)
    if isinstance(process, Flow):
        return clean
    scaled = (_TIMESTEP_SCALING * t)[:, None, None, None]
    square = scaled.square() + _SIGMA_DATA**2
    return x * (_SIGMA_DATA**2 / square) + clean * (scaled / square.sqrt())
