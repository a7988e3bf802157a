"""The basis: K learned low-rank matrices a projection, of which every person's LoRA is a mixture.

    down = sum_k a_k D_k        up = sum_k b_k U_k        change = scale * up down

(HyperLoRA, arXiv:2503.16944, equations 3 and 4). Only the coefficients a and b depend on the person.

Shape letters: N people, K basis matrices, r rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from allaprima.paint.hyperlora.projections import Projection


class LowRankBasis(nn.Module):
    """The basis of one projection."""

    def __init__(self, projection: Projection, *, num_basis: int, rank: int) -> None:
        super().__init__()
        # In this order as the published files have it, so that they are used as they are mapped.
        self.down = nn.Parameter(torch.empty(num_basis, projection.in_features, rank))
        self.up = nn.Parameter(torch.empty(num_basis, rank, projection.out_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin as a LoRA begins: `down` at random, `up` at zero, so that a predicted LoRA changes nothing yet."""
        # Coefficients have length 1, so a mixture is as large as one of its matrices.
        nn.init.normal_(self.down, std=self.down.shape[1] ** -0.5)
        nn.init.zeros_(self.up)

    def mix(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Return down (N, r, in) and up (N, out, r) for coefficients (N, 2, K)."""
        down, up = (
            (of @ basis.flatten(1)).view(-1, *basis.shape[1:]).transpose(1, 2)
            for of, basis in ((coefficients[:, 0], self.down), (coefficients[:, 1], self.up))
        )
        return down, up
