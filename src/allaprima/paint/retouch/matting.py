"""From a small matte to a large picture's, and the subject's own colours without what was behind it.

Arrays are floats: colours (H, W, 3) and mattes (H, W), both 0 to 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float32]
RADIUS: Final = 4
"""Pixels of the small picture to each side of the guided filter's window."""
REGULARISER: Final = 1e-4
"""How much a guide must vary within a window for the matte to follow it: a deviation of 1/100."""
ESTIMATED_SIDE: Final = 512
"""Pixels of the longer side at which colours near a pixel are looked for."""


def refine(matte: Array, small: Array, large: Array) -> Array:
    """Return the matte of a large picture from that of a small copy of it.

    The fast guided filter (He & Sun 2015, arXiv:1505.00996): in every window the matte is fitted by a linear function
    of the picture's colours; the functions are enlarged, not the matte, so its edges are the large picture's.

    Args:
        matte: (h, w).
        small: colours (h, w, 3).
        large: colours (H, W, 3).
    """
    slopes, offset = _fit(torch.from_numpy(matte)[None], torch.from_numpy(small).permute(2, 0, 1))
    guide = torch.from_numpy(large).permute(2, 0, 1)
    size = (guide.shape[1], guide.shape[2])
    joined = torch.cat([slopes, offset])[None]
    a, b = functional.interpolate(joined, size=size, mode="bilinear", align_corners=False)[0].tensor_split(
        (3,)
    )
    found: Array = ((a * guide).sum(0) + b[0]).clamp(0, 1).numpy()
    return found


def _fit(matte: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """Return each pixel's slopes (3, h, w) and offset (1, h, w): the means of the windows around it."""
    mean_guide, mean_matte = _mean(guide, RADIUS), _mean(matte, RADIUS)
    together = _mean(guide * matte, RADIUS) - mean_guide * mean_matte
    rows, columns = torch.triu_indices(3, 3)
    spread = _mean(guide[rows] * guide[columns], RADIUS) - mean_guide[rows] * mean_guide[columns]
    matrix = torch.empty((3, 3, *guide.shape[1:]))
    matrix[rows, columns] = matrix[columns, rows] = spread
    matrix = matrix + REGULARISER * torch.eye(3)[:, :, None, None]
    slopes = torch.linalg.solve(matrix.permute(2, 3, 0, 1), together.permute(1, 2, 0)[..., None])
    slopes = slopes[..., 0].permute(2, 0, 1)
    offset = mean_matte - (slopes * mean_guide).sum(0, keepdim=True)
    return _mean(slopes, RADIUS), _mean(offset, RADIUS)


def foreground(colors: Array, matte: Array) -> Array:
    """Return the subject's colours (H, W, 3), also where something behind it shines through.

    Two passes, wide and narrow, of blur fusion (Forte 2021, "Approximate fast foreground colour estimation"): the
    subject's and the background's colours are means of what is near, corrected so that they mix to the picture. The
    means of a large picture are those of a small copy.
    """
    image, alpha = torch.from_numpy(colors).permute(2, 0, 1), torch.from_numpy(matte)[None]
    share = min(1.0, ESTIMATED_SIDE / max(matte.shape))
    size = [max(1, round(side * share)) for side in matte.shape]
    few, cover = (functional.interpolate(one[None], size, mode="area")[0] for one in (image, alpha))
    near = behind = few
    front, back = few, few
    for radius in (max(2, round(min(size) * 0.12)), max(1, round(min(size) * 0.015))):
        near = _mean(front * cover, radius) / (_mean(cover, radius) + 1e-5)
        behind = _mean(back * (1 - cover), radius) / (_mean(1 - cover, radius) + 1e-5)
        front, back = _unmix(few, cover, near, behind), behind
    near, behind = (
        functional.interpolate(one[None], matte.shape, mode="bilinear", align_corners=False)[0]
        for one in (near, behind)
    )
    found: Array = _unmix(image, alpha, near, behind).permute(1, 2, 0).contiguous().numpy()
    return found


def _unmix(image: Tensor, alpha: Tensor, near: Tensor, behind: Tensor) -> Tensor:
    """Return the subject's colours that lie nearest to `near` and with `behind` mix to the image, about."""
    return (near + alpha * (image - alpha * near - (1 - alpha) * behind)).clamp(0, 1)


def _mean(x: Tensor, radius: int) -> Tensor:
    """Return the mean of the square window around each pixel of (C, H, W), as far as it is inside."""
    height, width = x.shape[1:]
    padded = functional.pad(x.double().cumsum(1).cumsum(2), (1, 0, 1, 0))  # wide, for whole sums
    top, bottom = _window(height, radius)
    left, right = _window(width, radius)
    rows = padded[:, bottom] - padded[:, top]
    sums = rows[:, :, right] - rows[:, :, left]
    area = (bottom - top)[:, None] * (right - left)[None]
    return (sums / area).float()


def _window(length: int, radius: int) -> tuple[Tensor, Tensor]:
    middle = torch.arange(length)
    return (middle - radius).clamp(min=0), (middle + radius + 1).clamp(max=length)
