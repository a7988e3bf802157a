"""Painting a part of a picture (inpainting): what its mask keeps stays, in latents and in pixels.

* Any base can do it. After each step the latents outside the mask are put back to the picture's, mixed with the noise
  that the row began with at the level reached (Lugmayr et al. 2022, arXiv:2201.09865, equation 8; the inpainting
  pipelines of diffusers do the same for bases of plain latents).
* A base that was trained for it reads a mask and the picture without what is painted, as further channels of its
  latents (`Base.reads_mask`), and is left to itself.

At the end pixels are mixed as the mask says, so that a pixel it keeps is the picture's own, bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from allaprima.core.init_image import InitImage
from allaprima.paint.contract.base import Base
from allaprima.paint.sampling.process import Process


def to_mask_pixels(init_image: InitImage) -> Tensor | None:
    """Return the mask as (1, 1, height, width) floats in [0, 1], 1 where it is painted; None without a mask."""
    if init_image.mask is None:
        return None
    levels = torch.frombuffer(bytearray(init_image.mask), dtype=torch.uint8)
    return levels.view(1, 1, init_image.height, init_image.width).float() / 255.0


def keep_latents(
    latents: Tensor, clean: Tensor, noise: Tensor, painted: Tensor, process: Process, sigma: float
) -> Tensor:
    """Return `latents` (B, C, h, w) at the level `sigma` with what is kept put back.

    Args:
        latents: where a step has led.
        clean: (1, C, h, w), those of the picture.
        noise: what the rows began with.
        painted: how much of each latent is painted, see `Base.latent_mask`.
        process: how picture and noise mix.
        sigma: the noise level.
    """
    # lerp is exact at both ends: what is kept is the picture's, what is painted is the step's.
    return torch.lerp(process.mix(clean, noise.float(), sigma), latents, painted)


def paste(painted: Tensor, pixels: Tensor, mask: Tensor) -> Tensor:
    """Return the pixels (B, 3, H, W) in [0, 1] that were painted, with `pixels` (1, 3, H, W) where `mask` is 0."""
    return torch.lerp(pixels.to(painted.device), painted.float(), mask.to(painted.device))


def mask_channels(base: Base, pixels: Tensor, mask: Tensor | None) -> Tensor:
    """Return what a base that reads a mask is shown beside its latents: (1, 1 + C, h, w).

    It was trained with whole pixels masked, so levels are rounded, and what is painted is grey in the picture.

    Args:
        base: encodes the rest of the picture.
        pixels: (1, 3, H, W) in [0, 1].
        mask: (1, 1, H, W) in [0, 1], 1 is painted; None for all of it.
    """
    hard = torch.ones_like(pixels[:, :1]) if mask is None else (mask >= 0.5).float()
    masked = torch.where(hard.bool(), 0.5, pixels)
    rest = base.encode(masked.contiguous()).float()  # equal bits, however the pixels lie in memory
    return torch.cat([torch.nn.functional.interpolate(hard, rest.shape[2:]).to(rest.device), rest], dim=1)
