"""The inputs of SDXL's UNet besides the prompt: the picture's sizes and, in some distilled models, the guidance."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from allaprima.paint.contract.base import TextStates

SIZE_IDS = 6
"""How many numbers describe a picture's sizes."""

CROP = (0, 0)
"""Top and left of the crop; pictures that were not cropped in training are well framed."""


def padding_mask(text: TextStates) -> torch.Tensor | None:
    """Return (B, L) bool, False where a shorter prompt is padded; None where nothing is, which is quicker."""
    return None if min(text.lengths) == text.mask.shape[1] else text.mask


# Cached, since every step would wait while six numbers travel to a GPU.
@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def size_ids(rows: int, width: int, height: int, device: torch.device) -> torch.Tensor:
    """Return (rows, 6) float32: original height and width, the crop's top and left, target height and width.

    Micro-conditioning (arXiv:2307.01952, section 2.2); the original size is the picture's own.
    """
    sizes = torch.tensor([height, width, *CROP, height, width], dtype=torch.float32)
    return sizes.expand(rows, SIZE_IDS).to(device)


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def guidance_embedding(guidance: float, rows: int, width: int, device: torch.device) -> torch.Tensor:
    """Return (rows, width) float32, the guidance as LCM's UNet takes it (arXiv:2310.04378, section 4.2).

    The sines, then the cosines, of 1000 (guidance - 1) at falling frequencies.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    angles = (guidance - 1.0) * 1000.0 * frequencies
    embedding = torch.cat([angles.sin(), angles.cos(), angles.new_zeros(width % 2)])
    return embedding.expand(rows, width).to(device)
