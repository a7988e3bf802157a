"""Teach the decoder alone, on what is painted, with a critic.

Pixels and their gradients are compared, and what a frozen network sees of both; a critic asks for the sharpness that
these averages leave away. Latents that a denoiser made differ from the scene in more than softness, the more so the
noisier it began, so pixels count for less there, and what is seen and said of the picture counts as ever.

The encoder stays as it is, and so the latents and all that was trained on them.

Shape letters: B pictures, C latent channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.lab.training.autoencoder import from_pixels, gradient_error, to_pixels
from allaprima.lab.training.critic import Critic, hinge, praise
from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.loop import Draw, Turn
from allaprima.lab.training.painted import PaintedStore
from allaprima.lab.training.scenes import SIDE, SceneStore
from allaprima.paint.bases.vignette.autoencoder import STRIDE, Autoencoder
from allaprima.paint.retouch.lite_encoder import LiteEncoder, MapScale

DETAIL_WIDTH = 16
"""Of the fine end of a decoder that had none."""
SHOWN = 5
"""Scenes in a row of a sample."""
CROP = 128
"""Side in pixels of the parts that the frozen network and the critic look at."""


class DecoderAndCritic(nn.Module):
    """What learns, and the scales of what the frozen network sees."""

    def __init__(self, autoencoder: Autoencoder, critic: Critic, scales: Sequence[MapScale]) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False)
        self.critic = critic
        self.scales = nn.ModuleList(scales)
        for parameter in self.learned():
            parameter.requires_grad_(True)

    def learned(self) -> tuple[nn.Parameter, ...]:
        """Return the decoder's parameters; nothing else of the autoencoder learns."""
        parts = (self.autoencoder.decoder, self.autoencoder.detail)
        return tuple(one for part in parts if part is not None for one in part.parameters())


class PaintedBatch(NamedTuple):
    """One batch."""

    latents: Tensor
    """(B, C, 16, 16)."""
    pixels: Tensor
    """(B, 3, 256, 256) in [-1, 1]: the scenes."""
    trust: Tensor
    """(B, 1, 1, 1): how much each pixel's error counts."""
    subjects: Tensor
    """(B, 1, 256, 256) in [0, 1]: where subjects are."""


class _Seen(NamedTuple):
    """What the critic's turn leaves for the decoder's, so that each picture is made once."""

    pair: PaintedBatch
    made: Tensor
    coarse: Tensor
    corners: list[tuple[int, int, int]]
    real_maps: list[Tensor]


@dataclass(kw_only=True)
class PaintedTask:
    """Decoder and critic in turns; see the module docstring."""

    model: DecoderAndCritic
    store: SceneStore
    cache: LatentCache
    painted: PaintedStore
    encoder: LiteEncoder
    clean_share: float = 0.35
    """Of the latents, how many are the encoder's own, with noise on them."""
    noise: float = 0.4
    """The strongest noise on those."""
    feature_weight: float = 0.1
    critic_share: float = 0.5
    """How strong the critic's gradient at a picture is, as a share of all other errors' gradient there."""
    coarse_weight: float = 0.3
    """On the pixels of the trunk alone, which a decoder without detail shows."""
    _seen: _Seen | None = field(default=None, init=False)

    @property
    def turns(self) -> Sequence[Turn]:
        """The critic's, then the decoder's."""
        critic = tuple(self.model.critic.parameters())
        return (
            Turn(name="critic", parameters=critic, loss=self._criticise),
            Turn(name="decoder", parameters=self.model.learned(), loss=self._decode),
        )

    def _criticise(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        del model  # it is `self.model`
        pair = self.batch(draw)
        made, coarse = self.model.autoencoder.decode_both(pair.latents)
        corners = self._corners(draw, pair.subjects)
        real_crops, made_crops = cut(pair.pixels, corners), cut(made.detach(), corners)
        with torch.no_grad():
            real_maps, made_maps = self.encoder(real_crops), self.encoder(made_crops)
        self._seen = _Seen(pair, made, coarse, corners, real_maps)
        real = self.model.critic(real_crops, real_maps)
        return {"loss": hinge(real, self.model.critic(made_crops, made_maps))}

    def _decode(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        del model, draw  # it goes on with what the critic has seen
        assert self._seen is not None
        pair, made, coarse, corners, real_maps = self._seen
        self._seen, made = None, made.float()
        leaf = made.detach().requires_grad_(True)
        values = self._errors(leaf, pair)
        crops = cut(leaf, corners)
        maps = self.encoder(crops)
        values["features"] = self._feature_error(maps, real_maps)
        praised = praise(self.model.critic(crops, maps))
        rest = values["absolute"] + 0.5 * values["gradient"] + self.feature_weight * values["features"]
        (wanted,) = torch.autograd.grad(rest, leaf, retain_graph=True)
        (asked,) = torch.autograd.grad(-praised, leaf)
        ratio = self.critic_share * wanted.norm() / (asked.norm() + 1e-12)
        # A scalar whose gradient at the picture is the sum of both.
        whole = (made * (wanted + ratio * asked)).sum()
        loss = whole - whole.detach() + rest.detach()
        if self.model.autoencoder.detail is not None:
            trunk = self._errors(coarse.float(), pair)
            loss = loss + self.coarse_weight * (trunk["absolute"] + 0.5 * trunk["gradient"])
        squared = functional.mse_loss(leaf.detach(), pair.pixels)
        return {
            "loss": loss,
            "psnr": 10 * torch.log10(4.0 / squared),
            "praise": praised.detach(),
            "sharpness": strongest_steps(leaf.detach()) / strongest_steps(pair.pixels),
            **{name: value.detach() for name, value in values.items()},
        }

    def _errors(self, output: Tensor, pair: PaintedBatch) -> dict[str, Tensor]:
        weight = pair.trust * (1.0 + 2.0 * pair.subjects)
        weight = weight / weight.mean()
        trusted, wanted = pair.trust * output, pair.trust * pair.pixels
        return {
            "absolute": (weight * (output - pair.pixels).abs()).mean(),
            "gradient": gradient_error(trusted, wanted),
        }

    def _feature_error(self, maps: Sequence[Tensor], real_maps: Sequence[Tensor]) -> Tensor:
        errors = [
            functional.l1_loss(scale(one.float()), scale(other.float()))
            for one, other, scale in zip(maps, real_maps, self.model.scales, strict=True)
        ]
        return torch.stack(errors).mean()

    def batch(self, draw: Draw) -> PaintedBatch:
        """Return one batch of latents with the scenes they are of."""
        chosen = draw.uniform(3).numpy()
        latents, scenes, trusts = [], [], []
        for which, kind, strength in chosen:
            if kind < self.clean_share:
                scene = int(which * len(self.cache))
                latent = torch.from_numpy(self.cache.latents[scene].astype(np.float32))
                latent = latent + strength * self.noise * torch.randn(latent.shape, generator=draw.generator)
                trust = 1.0
            else:
                row = int(which * len(self.painted))
                scene = int(self.painted.scenes[row])
                latent = torch.from_numpy(self.painted.latents[row].astype(np.float32))
                trust = 1.0 - 0.8 * float(self.painted.levels[row])
            latents.append(latent)
            scenes.append(scene)
            trusts.append(trust)
        order = np.array(scenes)
        subjects = torch.from_numpy(self.store.masks[order].astype(np.float32))[:, None] / 255
        return PaintedBatch(
            torch.stack(latents).to(draw.device),
            to_pixels(self.store.images[order], draw.device),
            torch.tensor(trusts, device=draw.device)[:, None, None, None],
            functional.interpolate(subjects, size=(SIDE, SIDE), mode="bilinear").to(draw.device),
        )

    def _corners(self, draw: Draw, subjects: Tensor) -> list[tuple[int, int, int]]:
        """Return row, top and left of two crops a picture: around a subject, and anywhere."""
        span = SIDE - CROP
        corners = []
        for row, (x, y, place) in enumerate(draw.uniform(3).tolist()):
            corners.append((row, int(y * span), int(x * span)))
            covered = torch.nonzero(subjects[row, 0, ::STRIDE, ::STRIDE].cpu() > 0.4)
            if not len(covered):
                corners.append((row, int(x * span), int(y * span)))
                continue
            cell = covered[int(place * len(covered))] * STRIDE - CROP // 2
            top, left = (int(side.clamp(0, span)) for side in cell)
            corners.append((row, top, left))
        return corners

    @torch.no_grad()
    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write, for every noise level, some scenes above what becomes of their own latents and of painted ones."""
        assert isinstance(model, DecoderAndCritic)
        rows = []
        for level in np.unique(self.painted.levels):
            chosen = np.flatnonzero(self.painted.levels == level)[:SHOWN]
            scenes = self.painted.scenes[chosen]
            rows += [self.store.images[scenes], self._decoded(model, self.cache.latents[scenes])]
            rows.append(self._decoded(model, self.painted.latents[chosen]))
        blank = np.zeros((SHOWN, SIDE, SIDE, 3), np.uint8)
        grid = np.stack([np.concatenate([row, blank])[:SHOWN] for row in rows])
        across = grid.transpose(0, 2, 1, 3, 4).reshape(len(rows) * SIDE, SHOWN * SIDE, 3)
        Image.fromarray(across).save(folder / f"sample-{step:07d}.png")

    @staticmethod
    def _decoded(model: DecoderAndCritic, latents: NDArray[np.float16]) -> NDArray[np.uint8]:
        given = torch.from_numpy(latents.astype(np.float32))
        return from_pixels(model.autoencoder.decode(given.to(model.autoencoder.device)).float().cpu())


def cut(pixels: Tensor, corners: Sequence[tuple[int, int, int]]) -> Tensor:
    """Return the parts (crops, 3, `CROP`, `CROP`) of pictures (B, 3, H, W) at (row, top, left)."""
    return torch.stack([pixels[row, :, top : top + CROP, left : left + CROP] for row, top, left in corners])


def strongest_steps(pixels: Tensor, share: float = 0.02) -> Tensor:
    """Return the mean of the strongest `share` of horizontal steps of pictures (B, 3, H, W), their range being 1.

    Mean errors do not see that an outline is soft; this sees nothing else.
    """
    steps = pixels.float().mean(1).diff(dim=2).abs().flatten(1)
    most = max(1, int(share * steps.shape[1]))
    return steps.topk(most, dim=1).values.mean() / 2.0


@torch.no_grad()
def measured_scales(encoder: LiteEncoder, store: SceneStore, *, pictures: int = 64) -> list[MapScale]:
    """Return what brings the frozen network's maps of scenes to unit variance."""
    maps = [encoder(to_pixels(store.images[start : start + 8])) for start in range(0, pictures, 8)]
    scales = []
    for parts in zip(*maps, strict=True):
        joined = torch.cat([part.float() for part in parts])
        scale = MapScale(joined.shape[1])
        scale.measure(joined)
        scales.append(scale)
    return scales


def with_detail(autoencoder: Autoencoder, width: int | None) -> Autoencoder:
    """Return `autoencoder` with a fine end of `width` channels, an untrained one if it had none of this width.

    None keeps the width that it has, or `DETAIL_WIDTH` if it has none.
    """
    present = autoencoder.config.detail_width
    wanted = (present or DETAIL_WIDTH) if width is None else width
    if wanted == present:
        return autoencoder
    grown = Autoencoder(replace(autoencoder.config, detail_width=wanted))
    kept = {name: value for name, value in autoencoder.state_dict().items() if not name.startswith("detail.")}
    grown.load_state_dict({**grown.state_dict(), **kept})
    return grown
