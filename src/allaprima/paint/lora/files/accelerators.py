"""The public acceleration LoRAs, by the names they are published under, and how each is painted.

    accelerator = find_accelerator(["Qwen-Image-2512-Lightning-4steps-V1.0-bf16"], "qwen-image")
    (accelerator.steps, accelerator.schedule, accelerator.guidance)    # 4, "lightning", 1.0

None of these files says how it was trained. Their ranks, alphas and layers are alike whatever the number of steps,
so a name is all that tells the number; the layers have to be those of the family. Of a file that was given another
name nothing is claimed, unless it carries the old one in its metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from allaprima.paint.lora.files.locations import title_of
from allaprima.paint.lora.files.metadata import LoraMetadata


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """How an acceleration LoRA is painted."""

    title: str
    """What it is called where it was published."""
    family: str
    """The family of its bases."""
    pattern: str
    """Finds its name; a group "steps" holds the number of steps."""
    schedule: str
    """A schedule of that family."""
    guidance: float = 1.0
    steps: int = 0
    """What it was trained for; 0 where `pattern` finds it."""
    most_steps: int = 0
    """It was trained for any number up to this; 0 for `steps` alone."""


_QWEN = r"qwen[-_ ]image(?:[-_ ](?:edit|25\d\d|fp8|e4m3fn|scaled))*"
_SDXL = r"(?:sd[-_ ]?xl)"
_STEPS = r"(?P<steps>1|2|4|8|12|16)[-_ ]?steps?(?![a-z])"

ACCELERATORS: tuple[Accelerator, ...] = (
    # Shift 3 at every size and no terminal level, whatever the steps. Two schedules are in use for two steps, shift 3
    # (levels 1, 0.75) and exp(mu) = 2.5 (levels 1, 0.714): the first is that of nearly all workflows.
    Accelerator(
        title="Qwen-Image-Lightning", family="qwen-image", schedule="lightning",
        pattern=rf"{_QWEN}[-_ ]lightning[-_ ]{_STEPS}",
    ),
    Accelerator(
        title="Wuli Qwen-Image Turbo", family="qwen-image", schedule="lightning",
        pattern=rf"(?:wuli[-_ ])?{_QWEN}[-_ ]turbo[-_ ]lora[-_ ]{_STEPS}",
    ),
    Accelerator(
        title="SDXL-Lightning", family="sdxl", schedule="trailing",
        pattern=rf"{_SDXL}[-_ ]lightning[-_ ]{_STEPS}",
    ),
    Accelerator(
        title="Hyper-SD", family="sdxl", schedule="tcd-full-noise", steps=1, most_steps=8,
        pattern=rf"hyper[-_ ]?{_SDXL}[-_ ]1[-_ ]?step[-_ ]lora",
    ),
    Accelerator(
        title="Hyper-SD with guidance", family="sdxl", schedule="ddim", guidance=5.0,
        pattern=rf"hyper[-_ ]?{_SDXL}[-_ ]{_STEPS}[-_ ]cfg[-_ ]lora",
    ),
    Accelerator(
        title="Hyper-SD", family="sdxl", schedule="ddim",
        pattern=rf"hyper[-_ ]?{_SDXL}[-_ ]{_STEPS}[-_ ]lora",
    ),
    Accelerator(
        title="DMD2", family="sdxl", schedule="dmd2", steps=4,
        pattern=rf"dmd2[-_ ]{_SDXL}[-_ ]4[-_ ]?steps?[-_ ]lora",
    ),
    Accelerator(
        title="LCM-LoRA", family="sdxl", schedule="lcm", steps=4, most_steps=8,
        pattern=rf"lcm[-_ ]lora[-_ ]{_SDXL}|{_SDXL}[-_ ]lcm[-_ ]lora",
    ),
    Accelerator(
        title="TCD", family="sdxl", schedule="tcd", steps=4, most_steps=50,
        pattern=rf"tcd[-_ ]{_SDXL}[-_ ]lora|{_SDXL}[-_ ]tcd[-_ ]lora",
    ),
    Accelerator(
        title="SDXL-Turbo", family="sdxl", schedule="turbo", steps=4, most_steps=4,
        pattern=rf"{_SDXL}[-_ ]turbo[-_ ]lora",
    ),
)  # fmt: skip
"""The first whose name is found counts.

Sources: the model cards of lightx2v/Qwen-Image-Lightning and Qwen-Image-2512-Lightning, Wuli-art's two
Qwen-Image-2512-Turbo-LoRA, ByteDance/SDXL-Lightning and Hyper-SD, tianweiy/DMD2, latent-consistency/lcm-lora-sdxl,
h1t/TCD-SDXL-LoRA, stabilityai/sdxl-turbo.
"""

_TOLD = ("ss_output_name", "modelspec.title")
"""Where a file that was renamed may carry the name it was published under."""

_PATTERNS = tuple((re.compile(rf"(?<![a-z0-9]){row.pattern}", re.IGNORECASE), row) for row in ACCELERATORS)


def find_accelerator(names: Iterable[str], family: str | None) -> Accelerator | None:
    """Return the accelerator that one of `names` means, its steps filled in; None if it is none for `family`."""
    for name in names:
        for pattern, row in _PATTERNS:
            if row.family == family and (found := pattern.search(name)):
                return row if row.steps else replace(row, steps=int(found["steps"]))
    return None


def looks_accelerated(name: str) -> bool:
    """Return whether a LoRA of that name may be an accelerator, before anything is read of it."""
    return any(pattern.search(name) for pattern, _ in _PATTERNS)


def with_accelerator(metadata: LoraMetadata, weights: Path, family: str | None) -> LoraMetadata:
    """Return what the LoRA at `weights` says, with what is known of it where it says nothing of how to paint.

    Args:
        family: of the bases that its layers show.
    """
    if metadata.steps is not None or metadata.sigmas or metadata.schedule is not None:
        return metadata
    names = [title_of(weights), *(metadata.raw[key] for key in _TOLD if key in metadata.raw)]
    found = find_accelerator(names, family)
    if found is None:
        return metadata
    return replace(
        metadata,
        accelerator=found.title,
        schedule=found.schedule,
        steps=found.steps,
        most_steps=found.most_steps or found.steps,
        guidance=found.guidance,
    )
