"""Whole SDXL checkpoints that paint in few steps, by the names they are published under.

A single file says nothing of its scheduler, and the weights of these look like any SDXL's, so the name is all that
tells how to paint with them. A folder in diffusers' layout says it itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from allaprima.core.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """How a distilled checkpoint is painted: without guidance, and in few steps."""

    title: str
    """What it is called where it was published."""
    pattern: str
    """Finds its name; a group "steps" holds the number of steps."""
    steps: int = 0
    """What is usual; 0 where `pattern` finds it."""
    most_steps: int = 0
    """The most that it was trained for; 0 for `steps` alone."""
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    """What its scheduler has other than SDXL's."""

    def remarks(self, request: GenerationRequest) -> Iterator[str]:
        """Yield what `request` asks of the checkpoint that it was not trained for."""
        known = f"the base is {self.title} by its file's name, which was trained to paint"
        most = self.most_steps or self.steps
        if request.steps > most or (request.steps < self.steps and not self.most_steps):
            steps = f"1 to {most}" if self.most_steps else most
            yield f"{known} in {steps} steps; {request.steps} are asked for"
        if request.guidance > 1.0:
            yield f"{known} without guidance; with guidance {request.guidance:g} a picture may burn out"


_TRAILING = {"timestep_spacing": "trailing"}

DISTILLED: tuple[Distilled, ...] = (
    Distilled(
        title="SDXL-Turbo", pattern=r"sd_?xl_turbo_1\.0", steps=1, most_steps=4,
        scheduler={"_class_name": "EulerAncestralDiscreteScheduler", **_TRAILING},
    ),
    # Refused by what it predicts, which is the clean picture.
    Distilled(
        title="SDXL-Lightning for one step", pattern=r"sdxl_lightning_1step_x0$", steps=1,
        scheduler={"prediction_type": "sample", **_TRAILING},
    ),
    Distilled(
        title="SDXL-Lightning", pattern=r"sdxl_lightning_(?P<steps>[248])step$", scheduler=_TRAILING,
    ),
)  # fmt: skip
"""Sources: the model cards of stabilityai/sdxl-turbo and ByteDance/SDXL-Lightning."""


def find_distilled(stem: str) -> Distilled | None:
    """Return what the checkpoint is whose file is called `stem`, without ending; None for any other."""
    for row in DISTILLED:
        if found := re.search(rf"(?<![a-z0-9]){row.pattern}", stem.lower()):
            return row if row.steps else replace(row, steps=int(found["steps"]))
    return None
