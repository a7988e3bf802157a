"""Numbers about many pictures at once: how like real ones, how unlike each other, how colourful, how sharp."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LUMA = (0.2126, 0.7152, 0.0722)
"""How bright red, green and blue seem (ITU-R BT.709)."""


def frechet(first: Tensor, second: Tensor) -> float:
    """Frechet distance of two sets of features, (N, D) and (M, D), as normal distributions.

    Heusel et al. 2017 (arXiv:1706.08500, equation 6). With fewer pictures than features it is biased upwards,
    equally for all sets of one size: compare only distances of equal N and M.
    """
    means, covariances = [], []
    for features in (first.double(), second.double()):
        means.append(features.mean(0))
        centred = features - features.mean(0)
        covariances.append(centred.T @ centred / max(1, len(features) - 1))
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    apart = (means[0] - means[1]).square().sum()
    return float(apart + covariances[0].trace() + covariances[1].trace() - 2 * shared)


def diversity(features: Tensor) -> float:
    """Mean distance between the pictures of one prompt, over prompts: (prompts, seeds, D) features."""
    distances = [torch.pdist(one.float()).mean() for one in features]
    return float(torch.stack(distances).mean())


def saturation(pictures: Tensor) -> float:
    """Mean chroma, the widest gap between two channels of a pixel: (B, 3, H, W) in [0, 1]."""
    return float((pictures.amax(1) - pictures.amin(1)).mean())


def contrast(pictures: Tensor) -> float:
    """Mean over pictures of the standard deviation of their brightness: (B, 3, H, W) in [0, 1]."""
    luma = torch.tensor(_LUMA, dtype=pictures.dtype)
    brightness = (pictures * luma[None, :, None, None]).sum(1)
    return float(brightness.flatten(1).std(1).mean())


def perceptual_distances(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return how far the pictures of two sets are from each other, one by one: (B,), 0 where they are equal.

    LPIPS (Zhang et al. 2018, arXiv:1801.03924, equation 1) with all weights alike: features of length 1 at every
    place, their squared distance, its mean over places and layers.

    Args:
        first: feature maps (B, D, rows, columns) of one layer each.
        second: those of the other set.
    """
    layers = []
    for one, other in zip(first, second, strict=True):
        gap = nn.functional.normalize(one.float(), dim=1) - nn.functional.normalize(other.float(), dim=1)
        layers.append(gap.square().sum(1).mean((1, 2)))
    return torch.stack(layers).mean(0)


def high_frequencies(pictures: Tensor) -> float:
    """Mean square of what a Gaussian blur of one pixel takes away, times 1,000: (B, 3, H, W) in [0, 1].

    Grids and grain raise it, softness lowers it.
    """
    offsets = torch.arange(-3, 4, dtype=pictures.dtype)
    window = torch.exp(-offsets.square() / 2)
    window = window / window.sum()
    grey = pictures.mean(1, keepdim=True)
    padded = nn.functional.pad(grey, (3, 3, 3, 3), mode="reflect")
    blurred = nn.functional.conv2d(padded, (window[:, None] * window[None])[None, None])
    return 1000 * float((grey - blurred).square().mean())
