"""What SDXL's UNet is told besides the prompt: the picture's sizes and, where it was distilled so, the guidance."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

SIZE_IDS = 6
"""Numbers that a picture's sizes are told in."""

CROP = (0, 0)
"""Top and left of the crop; pictures that were not cropped in training are the well-framed ones."""


# Remembered, for a GPU would be waited for at every step while six numbers travel to it.
@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def size_ids(rows: int, width: int, height: int, device: torch.device) -> torch.Tensor:
    """Return (rows, 6) float32: original height and width, the crop's top and left, target height and width.

    Micro-conditioning (arXiv:2307.01952, section 2.2); a picture is told to be of its own size.
    """
    one = torch.tensor([height, width, *CROP, height, width], dtype=torch.float32)
    return one.expand(rows, SIZE_IDS).to(device)


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def guidance_embedding(guidance: float, rows: int, width: int, device: torch.device) -> torch.Tensor:
    """Return (rows, width) float32, the guidance as LCM's UNet is told it (arXiv:2310.04378, section 4.2).

    Sines, then cosines, of a thousand times the guidance above 1 at falling frequencies.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    angles = (guidance - 1.0) * 1000.0 * frequencies
    embedding = torch.cat([angles.sin(), angles.cos(), angles.new_zeros(width % 2)])
    return embedding.expand(rows, width).to(device)
