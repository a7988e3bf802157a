"""Numbers about many pictures at once: how like real ones, how unlike each other, how colourful, how sharp."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
