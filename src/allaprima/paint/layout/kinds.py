"""The code of a kind: a few numbers that say what a thing of a layout is, by the meaning of its name.

They come from the text encoder's states, so any word in any language that the encoder knows can name a box, and words
of like meaning have like codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from allaprima.paint.layout.lattice import KIND_WIDTH


class KindCode(nn.Module):
    """The directions in which the names of a training's things differ most, measured once (PCA, whitened)."""

    mean: Tensor
    directions: Tensor

    def __init__(self, text_width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(text_width))
        self.register_buffer("directions", torch.zeros(KIND_WIDTH, text_width))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the codes (n, KIND_WIDTH) of names' states (n, text_width), as from :func:`mean_states`."""
        return (pooled.float() - self.mean) @ self.directions.T

    @torch.no_grad()
    def measure(self, pooled: Tensor) -> None:
        """Set the directions from the states (n, text_width) of names, so that each number has unit variance.

        With fewer names than directions, the last directions stay zero.
        """
        self.mean.copy_(pooled.mean(0))
        _, deviations, directions = torch.linalg.svd((pooled - self.mean).double(), full_matrices=False)
        known = min(KIND_WIDTH, int((deviations > 1e-6 * deviations[0]).sum()))
        scale = (len(pooled) ** 0.5 / deviations[:known])[:, None]
        self.directions.zero_()
        self.directions[:known] = (directions[:known] * scale).to(self.directions)


def mean_states(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (n, D) of names' states (n, L, D), without the marks of beginning and end."""
    inner = mask.clone()
    inner[:, 0] = False
    inner[torch.arange(len(inner)), mask.sum(1) - 1] = False
    return (states * inner[:, :, None]).sum(1) / inner.sum(1).clamp(min=1)[:, None]
