"""Students of a tiny base."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from allaprima.lab.evaluation.distill import (
    Line,
)
from allaprima.paint.bases.vignette.base import VignetteBase
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.writer import write_lora
from allaprima.paint.lora.update import LowRank


def write_student(
    path: Path, base: VignetteBase, *, sampler: str = "euler", base_hash: str | None = None
) -> Path:
    """A LoRA that changes something."""
    generator = torch.Generator().manual_seed(1)
    weight = base.denoiser.transformer.transformer_blocks[0].attn.to_q.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    low = LowRank(
        down=torch.randn(2, weight.shape[1], generator=generator),
        up=torch.randn(weight.shape[0], 2, generator=generator),
    )
    metadata = LoraMetadata(
        family="vignette", sigmas=(1.0, 0.7, 0.0), sampler=sampler, steps=2, guidance=1.0, base_hash=base_hash
    )
    updates = {"transformer.transformer_blocks.0.attn.to_q": low}
    return write_lora(path, Lora(name="turbo", updates=dict(updates), metadata=metadata))


def line(method: str, steps: int, **values: float) -> Line:
    """A measured line."""
    return Line(name=f"{method}, {steps}", method=method, steps=steps, values=dict(values))
