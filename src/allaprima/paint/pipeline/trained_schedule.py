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
from allaprima.paint.sampling.process import exploding_sigma


def trained_schedule(own: Schedule, loras: Iterable[LoraMetadata]) -> Schedule:
    """Return how the first of `loras` that names its levels wants as many steps as `own` has to be taken.

    At another number of steps the levels are the base's own, and only the sampler is the LoRA's.

    Args:
        own: what the base would paint with.
        loras: what the files of the LoRAs that count say.

    Raises:
        LoraError: a file names levels, but not the times of a base that has times of its own.
    """
    trained = next((metadata for metadata in loras if metadata.sigmas), None)
    if trained is None:
        return own
    own = own.without_solver()
    schedule = replace(own, sampler=trained.sampler or "euler")
    if len(trained.sigmas) != len(own) + 1:
        return schedule
    if own.kind == "flow":
        return replace(schedule, sigmas=trained.sigmas, times=trained.times or trained.sigmas[:-1])
    if not trained.times or trained.sigmas[0] >= 1.0:
        raise LoraError(
            "the LoRA names the noise levels it was trained at, but not the model's times at them; expected "
            "allaprima.times beside allaprima.sigmas below 1, so convert it anew or name a schedule"
        )
    sigmas = tuple(map(exploding_sigma, trained.sigmas))
    return replace(schedule, sigmas=sigmas, times=trained.times, noise_scale=math.hypot(sigmas[0], 1.0))
