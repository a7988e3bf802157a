"""Latent consistency distillation (Luo et al. 2023, arXiv:2310.04378; as a LoRA arXiv:2311.05556).

The student f predicts the picture at the end of the teacher's way from anywhere on it. It learns that two
neighbours on one way have the same end: f(x_t) is drawn to f(x_s), where x_s is one guided step of a solver that
skips from t to s = t - skip / solver_steps, and f(x_s) is held fixed. The boundary f(x_0) = x_0 holds by
construction (`Process.consistent`).

The fixed target comes from the student itself, not from an average of it: Song and Dhariwal 2023
(arXiv:2310.14189, section 3.2) show that averaging it hurts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.methods.method import MethodSettings, MethodTask, TaskInputs
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.training.loop import Draw, TurnTask
from allaprima.paint.contract.base import TextStates


@dataclass(frozen=True, kw_only=True)
class LcmSettings(MethodSettings):
    """Settings of latent consistency."""

    method: ClassVar[str] = "lcm"
    learning_rate: ClassVar[float] = 5e-4
    sampler: StudentSampler = "lcm"
    embedded: bool = False
    """Draw the guidance and tell it to the student."""

    def __post_init__(self) -> None:
        """Refuse to tell a LoRA the guidance."""
        super().__post_init__()
        if self.embedded and not self.whole:
            raise UserError(
                "got --embedded; expected it with lcm --whole, for a LoRA file has no place for it"
            )

    @property
    def student_guidance(self) -> float | None:
        """The one it is validated at, if it is told any."""
        return self.guidance if self.embedded else None

    def build(self, given: TaskInputs) -> tuple[nn.Module, TurnTask]:
        """Return the learners themselves, and the task."""
        return given.learners, LcmTask(
            learners=given.learners,
            material=given.setup.material,
            guidance=self.guidance,
            validation=given.validation,
            guidance_range=(1.0, 2 * self.guidance) if self.embedded else None,
            solver_steps=self.teacher_steps,
        )


@dataclass(frozen=True, kw_only=True)
class LcmTask(MethodTask):
    """Consistency along the guided teacher's way."""

    guidance_range: tuple[float, float] | None = None
    """Draw each row's guidance from here and tell it to the student; None keeps `guidance` for all."""
    solver_steps: int = 48
    """The solver's grid; a multiple of the steps one will paint with, so that their timesteps are trained."""
    skip: int = 1
    """So many grid steps are one step of the solver. The paper's 20 of 1,000 are 1 of 50."""
    huber: float = 0.03
    """Where the loss turns from squared to absolute, per number; of the order of its residual."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the pseudo-Huber distance of two neighbours' pictures."""
        learners = self.learners_of(model)
        process = learners.process
        batch = self.material.batch(draw)
        which = (draw.uniform() * self.solver_steps).long().clamp(max=self.solver_steps - 1)
        timesteps = torch.tensor(process.timesteps(self.solver_steps)).to(draw.device)
        t, after = timesteps[which], timesteps[(which + self.skip).clamp(max=self.solver_steps)]
        # Where a picture came along the teacher's way its own noise knows it; one paints with fresh noise.
        noise = batch.noise if batch.trajectory is None else draw.noise(*batch.noise.shape[1:])
        x = process.mix(batch.pictures(), noise, t)
        guidance = self._guidance(draw)
        student_guidance = None if self.guidance_range is None else torch.as_tensor(guidance)
        with torch.no_grad():
            target = self._target(learners, batch, x, t, after, guidance, student_guidance)
        error = (_picture(learners, x, t, batch.text, student_guidance) - target).square()
        loss = ((error + self.huber**2).sqrt() - self.huber).mean()
        return {"loss": loss, "error": error.mean().detach()}

    def _guidance(self, draw: Draw) -> float | Tensor:
        """Return the teacher's guidance, one for all rows or (B,)."""
        if self.guidance_range is None:
            return self.guidance
        low, high = self.guidance_range
        return (low + (high - low) * draw.uniform()).to(draw.device)

    def _target(
        self,
        learners: Learners,
        batch: DistillBatch,
        x: Tensor,
        t: Tensor,
        after: Tensor,
        guidance: float | Tensor,
        student_guidance: Tensor | None,
    ) -> Tensor:
        """Return the student's picture one solver step further on."""
        process = learners.process
        x_after = process.step(x, t, after, learners.guided(x, t, batch.text, batch.empty, guidance))
        # At the end there is nothing left to predict; the network is asked elsewhere and its picture not used.
        arrived = after == process.end
        asked = torch.where(arrived, t, after)
        picture = _picture(learners, x_after, asked, batch.text, student_guidance)
        return torch.where(arrived[:, None, None, None], x_after, picture)


def _picture(learners: Learners, x: Tensor, t: Tensor, text: TextStates, guidance: Tensor | None) -> Tensor:
    """Return f(x): the student's picture at (x, t)."""
    clean = learners.process.clean(x, t, learners.predict(x, t, text, guidance=guidance))
    return learners.process.consistent(x, t, t, clean)
