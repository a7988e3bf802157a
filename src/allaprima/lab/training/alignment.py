"""What every image token shows, as an extra thing for the denoiser to say while it trains.

After REPA (arXiv 2410.06940), which aligns a diffusion transformer's middle features with those of a network that
knows pictures. We know more than such a network does: the renderer's ground truth. From a middle block's image
tokens a light head tells which subject or place covers each token, what the subject wears, the hour and the weather.
At high noise only the words can tell, so the head's gradient ties words to places in the picture long before the
flow-matching loss does. The head is dropped when weights are released.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from allaprima.lab.scenes.draw import ACCESSORIES, HOURS, PLACES, WEATHERS
from allaprima.lab.scenes.layout import spots_of
from allaprima.lab.scenes.spec import Scene
from allaprima.paint.bases.vignette.denoiser import PATCH, Denoiser
from allaprima.paint.layout.spots import LATTICE, PERSON, Spot
from allaprima.paint.layout.subjects import SUBJECTS

THINGS: tuple[str, ...] = (*SUBJECTS, PERSON, *PLACES)
GROUPS: tuple[tuple[str, ...], ...] = (THINGS, ("", *ACCESSORIES), HOURS, WEATHERS)
"""What a token is asked: the thing it shows, what that wears (subjects only), hour and weather (places only)."""
WORN = 1
"""The group of what is worn; its first name is nothing."""
TOKENS = LATTICE // PATCH
UNASKED = -1
_HARDLY, _MOSTLY = 0.15, 0.4
"""A token covered less than the first shows the place, one covered more than the second a subject."""


def token_names(scene: Scene, covered: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return what the tokens of a scene show.

    Args:
        scene: the scene.
        covered: (16, 16) uint8, the share of each latent cell under a subject.

    Returns:
        (groups, 8, 8) int16, an index into each of `GROUPS`, or `UNASKED` where that cannot be said.
    """
    share = covered.reshape(TOKENS, PATCH, TOKENS, PATCH).mean((1, 3)) / 255.0
    owners = np.full((TOKENS, TOKENS), UNASKED)
    for spot in spots_of(scene):
        owners[_inside(spot)] = spot.subject
    owners[share < _MOSTLY] = UNASKED
    names = np.full((len(GROUPS), TOKENS, TOKENS), UNASKED, np.int16)
    place = share < _HARDLY
    for group, name in ((0, scene.place), (2, scene.hour), (3, scene.weather)):
        names[group][place] = GROUPS[group].index(name)
    for index, subject in enumerate(scene.subjects):
        names[0][owners == index] = THINGS.index(subject.kind)
        names[1][owners == index] = GROUPS[1].index(subject.accessory or "")
    return names


def _inside(spot: Spot) -> NDArray[np.bool_]:
    """Return which tokens' middles lie in a spot's box, (8, 8)."""
    middles = (np.arange(TOKENS) + 0.5) / TOKENS
    across = np.abs(middles - spot.x) <= spot.width / 2
    down = (middles <= spot.foot) & (middles >= spot.foot - spot.height)
    return down[:, None] & across[None, :]


class AlignedDenoiser(nn.Module):
    """A denoiser with a head on its middle block, which names what each token shows."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        width = denoiser.config.heads * denoiser.config.head_width
        self.depth = denoiser.config.layers // 2
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, sum(map(len, GROUPS))),
        )

    def forward(
        self, latents: Tensor, t: Tensor, states: Tensor, mask: Tensor | None, layout: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the velocity, and (B, 64, sum of the groups' sizes) logits of what the tokens show."""
        kept: list[Tensor] = []

        def keep(_block: nn.Module, _inputs: object, outputs: tuple[Tensor, Tensor]) -> None:
            kept.append(outputs[1])

        handle = self.denoiser.transformer.transformer_blocks[self.depth - 1].register_forward_hook(keep)
        try:
            velocity = self.denoiser(latents, t, states, mask, layout)
        finally:
            handle.remove()
        return velocity, self.head(kept[0])


def naming_error(logits: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the groups, and the share of asked tokens whose thing is told right.

    Args:
        logits: (B, 64, sum of the groups' sizes).
        names: (B, groups, 8, 8) int64, see :func:`token_names`.
    """
    wanted = names.flatten(2)
    parts = torch.split(logits, [len(group) for group in GROUPS], dim=2)
    errors = [
        functional.cross_entropy(
            part.flatten(0, 1).float(), wanted[:, group].flatten(), ignore_index=UNASKED, reduction="sum"
        )
        / (wanted[:, group] != UNASKED).sum().clamp(min=1)
        for group, part in enumerate(parts)
    ]
    asked = wanted[:, 0] != UNASKED
    right = (parts[0].argmax(2) == wanted[:, 0]) & asked
    return torch.stack(errors).mean(), right.sum() / asked.sum().clamp(min=1)
