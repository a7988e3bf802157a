"""Upscalers of the real class at tiny size."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from allaprima.paint.retouch.upscaler import Upscaler, UpscalerConfig
from allaprima.paint.retouch.upscaler_files import stored_upscaler


def tiny_upscaler(seed: int = 0) -> Upscaler:
    """Return an upscaler that reaches far and answers to everything it reaches."""
    torch.manual_seed(seed)
    model = Upscaler(UpscalerConfig(channels=4, pairs=2))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.3)
    return model.eval().requires_grad_(False)


def write_upscaler(path: Path, seed: int = 0) -> Path:
    """Write the file of a tiny upscaler."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors, metadata = stored_upscaler(tiny_upscaler(seed))
    save_file(tensors, path, metadata)
    return path
