"""Numbers about pixels: how close a reconstruction is, and whether a picture is a picture at all."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from allaprima.paint.pipeline.overflow_guard import BLACK_BELOW, CONSTANT_BELOW

Fault = Literal["nan", "black", "constant"]


def psnr(pictures: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture: (B, ...) in [0, 1] to (B,); inf where equal."""
    error = (pictures.float() - targets.float()).square().flatten(1).mean(1)
    return -10 * torch.log10(error)


def ssim(pictures: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity, picture by picture: (B, 3, H, W) in [0, 1] to (B,).

    Wang et al. (2004): Gaussian window of sigma 1.5, 11 pixels wide, as torchmetrics computes it.
    """
    scores = structural_similarity_index_measure(
        pictures.float(), targets.float(), data_range=1.0, reduction="none"
    )
    assert isinstance(scores, Tensor)
    return scores.reshape(len(pictures))


def find_fault(picture: Tensor) -> Fault | None:
    """Return what is wrong with a picture (3, H, W) in [0, 1]: not finite, black or one colour; None if nothing."""
    if not torch.isfinite(picture).all():
        return "nan"
    if float(picture.max()) < BLACK_BELOW:
        return "black"
    flat = picture.flatten(1)
    if float((flat.amax(1) - flat.amin(1)).max()) < CONSTANT_BELOW:
        return "constant"
    return None
