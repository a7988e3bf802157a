"""The levels that a distilled LoRA was trained at are the levels it is painted with.

A student of few steps has seen its own few noise levels and no others, so at any others it answers what it was
never taught (distillation notes: trained sigmas = deployed sigmas). They travel in its file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from allaprima.core.errors import LoraError
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.lora.files.metadata import LoraMetadata


def trained_schedule(own: Schedule, loras: Iterable[LoraMetadata]) -> Schedule:
    """Return how the first of `loras` that names its levels wants as many steps as `own` has to be taken.

    At another number of steps the levels are the base's own, and only the rule for a step is the LoRA's.

    Args:
        own: what the base would paint with.
        loras: what the files of the LoRAs that count say.

    Raises:
        LoraError: a file names levels, but not the times of a base that has times of its own.
    """
    told = next((told for told in loras if told.sigmas), None)
    if told is None:
        return own
    ruled = replace(own, sampler=told.sampler or "euler")
    if len(told.sigmas) != len(own) + 1:
        return ruled
    return _flow(ruled, told) if own.kind == "flow" else _exploding(ruled, told)


def _flow(own: Schedule, told: LoraMetadata) -> Schedule:
    return replace(own, sigmas=told.sigmas, times=told.times or told.sigmas[:-1])


def _exploding(own: Schedule, told: LoraMetadata) -> Schedule:
    """From the share s of noise in latents of variance 1 to x_0 + sigma eps: sigma = s / sqrt(1 - s^2)."""
    if not told.times or told.sigmas[0] >= 1.0:
        raise LoraError(
            "the LoRA names the noise levels it was trained at, but not the model's times at them; expected "
            "allaprima.times beside allaprima.sigmas below 1, so convert it anew or name a schedule"
        )
    levels = [share / math.sqrt(1.0 - share * share) for share in told.sigmas]
    return replace(own, sigmas=tuple(levels), times=told.times, noise_scale=math.hypot(levels[0], 1.0))
