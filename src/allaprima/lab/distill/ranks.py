"""The ranks of a student's LoRA: by a pattern, by one number, by what the loss wants, or another student's."""

from __future__ import annotations

import torch
from torch import Tensor

from allaprima.core.errors import UserError
from allaprima.lab.distill.learners import STUDENT, LayerRanks, Learners
from allaprima.lab.distill.lora_file import student_ranks
from allaprima.lab.distill.methods.method import MethodSettings
from allaprima.lab.distill.methods.turbo import TurboTask
from allaprima.lab.distill.sensitivity import allot, measure_sensitivity
from allaprima.lab.distill.target_modules import (
    TargetModule,
    find_target_modules,
    num_parameters,
    pattern_ranks,
    uniform_ranks,
)
from allaprima.lab.distill.teacher import TeacherSetup
from allaprima.lab.training.loop import Draw, seed_of

_SENSITIVITY_BATCHES = 8


def choose_ranks(setup: TeacherSetup, settings: MethodSettings, batch: int) -> LayerRanks:
    """Return the LoRA's rank at each target.

    Raises:
        UserError: the LoRA to start from is for other layers, or the budget is too small for any.
    """
    everywhere = find_target_modules(setup.network)
    if settings.start is not None:
        return student_ranks(settings.start, setup.family, [target.path for target in everywhere])
    targets = find_target_modules(setup.network, settings.sites)
    if settings.ranks == "pattern":
        return pattern_ranks(targets)
    if settings.ranks == "sensitivity":
        budget = settings.parameters or num_parameters(everywhere, pattern_ranks(everywhere))
        return _sensitive_ranks(setup, settings, batch, targets, budget)
    return uniform_ranks(targets, int(settings.ranks))


def _sensitive_ranks(
    setup: TeacherSetup, settings: MethodSettings, batch: int, targets: tuple[TargetModule, ...], budget: int
) -> LayerRanks:
    """Return the ranks that step compression, whatever the method, gains most from within the budget."""
    learners = Learners(setup.network, {STUDENT: {}})
    task = TurboTask(
        learners=learners,
        material=setup.material,
        guidance=settings.guidance,
        steps=settings.steps,
        teacher_steps=settings.teacher_steps,
        coupling=settings.coupling_of_ranks,
    )

    def loss(number: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of(settings.seed, (1 << 40) + number))
        draw = Draw(step=number, batch_size=batch, device=learners.device, generator=generator)
        return task.loss(learners, draw)["loss"]

    sensitivity = measure_sensitivity(setup.network, targets, loss, batches=_SENSITIVITY_BATCHES)
    ranks = allot(targets, sensitivity, budget)
    if not ranks:
        raise UserError(f"got a budget of {budget} parameters; expected enough for rank 4 at one place")
    return ranks
