"""How the base and its students paint in a comparison: a LoRA folded in and out again, at the levels it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from allaprima.lab.evaluation.painting import paint_prompts
from allaprima.paint.contract.base import Base
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import delta_of
from allaprima.paint.pipeline.trained_schedule import trained_schedule


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way of painting."""

    method: str
    """"base", or what the student is called; students of one name are trainings with other seeds."""
    steps: int
    guidance: float
    lora: Path | None = None

    @property
    def name(self) -> str:
        """How the table calls it."""
        words = f"{self.method}, {self.steps} step{'' if self.steps == 1 else 's'}"
        return words if self.guidance == 1 else f"{words}, guidance {self.guidance:g}"


def paint(base: Base, prompts: Sequence[str], seeds: Sequence[int], contender: Contender) -> Tensor:
    """Return the pictures of one contender, (B, 3, H, W) in [0, 1] rounded to 8 bits; not finite is NaN."""
    return paint_prompts(base, prompts, seeds, _schedule(base, contender), contender.guidance)


def _schedule(base: Base, contender: Contender) -> Schedule:
    own = base.schedule(contender.steps, base.defaults.width, base.defaults.height)
    return own if contender.lora is None else trained_schedule(own, [_metadata(contender.lora)])


@lru_cache(maxsize=64)
def _metadata(lora: Path) -> LoraMetadata:
    """Return what a file says of itself; it is read once, so that no picture's time includes it."""
    with safe_open(lora, framework="pt") as file:
        return read_metadata(file.metadata() or {})


@contextmanager
def worn(base: Base, lora: Path | None) -> Iterator[None]:
    """Merge the LoRA into the base's weights for a while; afterwards they are what they were, bit for bit."""
    if lora is None:
        yield
        return
    modules = base.modules()
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            read = read_lora(lora, modules, family=base.family)
            changed = {f"{key}.weight": update for key, update in read.updates.items()}
            for key, change in {**changed, **read.vectors}.items():
                root, _, path = key.partition(".")
                weight: Tensor = modules[root].get_parameter(path)
                kept.append((weight, weight.clone()))
                delta = change if isinstance(change, Tensor) else delta_of(change, weight)
                weight.add_(delta.to(weight.device, weight.dtype))
        yield
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)
