"""What a person should know before a training begins, a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffusers.models.modeling_utils import ModelMixin

from allaprima.lab.lora.pictures import picture_size_of
from allaprima.lab.lora.train import LoraSettings
from allaprima.lab.lora.trainable_lora import denoiser_of
from allaprima.paint.contract.base import Base

_FEW_STEPS = 8


def remarks_on_training(base: Base, paths: Sequence[Path], settings: LoraSettings) -> tuple[str, ...]:
    """Return what becomes of the pictures, and what of the settings is not honoured or does harm on this base."""
    width, height = settings.size or (base.defaults.width, base.defaults.height)
    sizes = [picture_size_of(path) for path in paths]
    cut = sum(abs(w * height - h * width) > 0.01 * w * height for w, h in sizes)
    small = sum(w < width or h < height for w, h in sizes)
    remarks = []
    if cut:
        remarks.append(
            f"{cut} of {len(paths)} pictures are not of the shape {width}x{height} and are cut around their middle"
        )
    if small:
        remarks.append(f"{small} of {len(paths)} pictures are smaller than {width}x{height} and are enlarged")
    if base.defaults.steps <= _FEW_STEPS:
        remarks.append(
            f"{base.name} paints in few steps ({base.defaults.steps}), which a LoRA trained on it may unlearn; a "
            "LoRA that was trained on the base it was distilled from can be worn on both"
        )
    if settings.checkpointing and not isinstance(denoiser_of(base)[1], ModelMixin):
        remarks.append(f"--checkpointing does nothing here: {base.name} is small enough without it")
    if settings.start is not None and settings.alpha is not None:
        remarks.append(
            "--alpha does nothing with --start: the LoRA that is gone on from says how much it counts"
        )
    return tuple(remarks)
