"""A discriminator: frozen features, and light heads on them that know the prompt.

Heads as in ADD (Sauer et al. 2023, arXiv:2311.17042, section 3.2): small, one per feature map, conditioned on the
text by projection. The maps come from the frozen teacher at a noised picture (latent variant, after LADD,
arXiv:2403.12015) or from an image network at the decoded one (pixel variant).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from allaprima.lab.distill.learners import TEACHER, Learners
from allaprima.paint.contract.base import TextStates


class FeatureExtractor(Protocol):
    """Turns pictures into frozen features; gradients go through to the picture."""

    def extract(
        self, learners: Learners, clean: Tensor, noise: Tensor, t: Tensor, text: TextStates
    ) -> list[Tensor]:
        """Return the feature maps, each (B, D, rows, columns).

        Args:
            learners: hold the teacher.
            clean: (B, C, h, w) pictures, real or painted.
            noise: what is mixed in before, the same for a real picture and its rival.
            t: (B,) how much of it.
            text: the prompts.
        """


class TeacherFeatures:
    """The frozen teacher's features at a noised picture."""

    def __init__(self, depths: Sequence[int]) -> None:
        self.depths = tuple(depths)

    def extract(
        self, learners: Learners, clean: Tensor, noise: Tensor, t: Tensor, text: TextStates
    ) -> list[Tensor]:
        """Return blocks' outputs; see :class:`FeatureExtractor`."""
        x = learners.process.mix(clean, noise, t)
        return [features.float() for features in learners.of(TEACHER).features(x, t, text, self.depths)]


class PixelFeatures:
    """An image network's features at the decoded picture; noise and time are not used."""

    def __init__(self, decode: Callable[[Tensor], Tensor], maps: Callable[[Tensor], list[Tensor]]) -> None:
        self.decode, self.maps = decode, maps

    def extract(
        self, learners: Learners, clean: Tensor, noise: Tensor, t: Tensor, text: TextStates
    ) -> list[Tensor]:
        """Return the image network's maps; see :class:`FeatureExtractor`."""
        del learners, noise, t, text
        return self.maps(self.decode(clean))


class DiscriminatorHead(nn.Module):
    """One feature map in, one vote per picture out."""

    def __init__(self, width: int, text_width: int, hidden: int = 64) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, hidden, 1)
        self.body = nn.Sequential(
            nn.GroupNorm(8, hidden), nn.SiLU(), nn.Conv2d(hidden, hidden, 3, padding=1), nn.SiLU()
        )
        self.vote = nn.Conv2d(hidden, 1, 1)
        self.words = nn.Linear(text_width, hidden)
        self.scale = hidden**-0.5

    def forward(self, features: Tensor, words: Tensor) -> Tensor:
        """Return votes (B,) on features (B, D, rows, columns) and prompts (B, text_width); above zero is real."""
        # A network's residual stream has numbers of any size; what counts is their pattern.
        size = features.square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt()
        hidden = self.body(self.enter(features / size))
        projection = (hidden * self.words(words)[:, :, None, None]).sum(1) * self.scale
        votes: Tensor = (self.vote(hidden)[:, 0] + projection).mean((1, 2))
        return votes


class Discriminator(nn.Module):
    """A head for every map; the votes are averaged."""

    def __init__(self, widths: Sequence[int], text_width: int, hidden: int = 64, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.heads = nn.ModuleList(DiscriminatorHead(width, text_width, hidden) for width in widths)

    def forward(self, maps: Sequence[Tensor], words: Tensor) -> Tensor:
        """Return the votes of all heads, (heads, B)."""
        return torch.stack([head(features, words) for head, features in zip(self.heads, maps, strict=True)])


def summary(text: TextStates) -> Tensor:
    """Return one vector per prompt: the family's own, or the mean of the token states, (B, D)."""
    if text.pooled is not None:
        return text.pooled
    shares = text.mask / text.mask.sum(1, keepdim=True)
    return (text.states * shares[..., None]).sum(1)
