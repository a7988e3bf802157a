"""Train the matte network: `prima train matte runs/matte --store runs/styled-scenes`.

The renderer knows to the pixel what its subjects cover. Pictures are worn, and a share of them goes through the
autoencoder with noise on its latents, as what Vignette paints does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.lab.retouch.lite_source import load_lite_encoder
from allaprima.lab.retouch.styled_scenes import SIDE, STYLES, StyledScenes
from allaprima.lab.retouch.wear import frame, wear
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.release import averaged, training_facts
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.retouch.lite_encoder import MapScale
from allaprima.paint.retouch.matte_network import SIZES, MatteNetwork
from allaprima.paint.retouch.network_files import stored

STYLE_SHARES: Final = (0.52, 0.16, 0.16, 0.16)
"""How often each of `STYLES` is learned from: Vignette paints the first."""
SIDES: Final = (128, 128, 128, 192, 256)
"""Sides in pixels at which batches are shown, equally often: small ones are learned from in a quarter of the time,
and a subject's size says less."""


@dataclass(frozen=True, kw_only=True)
class MatteTask:
    """Predict mattes: cross-entropy, absolute error of values and of their gradients, and 1 - soft IoU."""

    scenes: StyledScenes
    autoencoder: Autoencoder | None = None
    """What softens pictures as a painter does; None leaves it out."""
    softened_share: float = 0.25
    """How many of a batch's pictures it softens."""
    most_noise: float = 0.5
    """The strongest noise on their latents."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch; see the class."""
        pixels, matte = (part.to(draw.device) for part in self.batch(draw))
        logits = model(pixels).float()
        found = logits.sigmoid()
        union = (found + matte - found * matte).sum((1, 2))
        values = {
            "entropy": functional.binary_cross_entropy_with_logits(logits, matte),
            "absolute": functional.l1_loss(found, matte),
            "edges": _edge_error(found, matte),
            "overlap": 1 - ((found * matte).sum((1, 2)) + 1).div(union + 1).mean(),
        }
        weights = {"entropy": 1.0, "absolute": 1.0, "edges": 2.0, "overlap": 0.3}
        return {
            "loss": torch.stack([weights[name] * value for name, value in values.items()]).sum(),
            **values,
        }

    def batch(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return this process's pictures (rows, 3, S, S) in [-1, 1] and mattes (rows, S, S) in [0, 1]."""
        side = SIDES[int(torch.randint(len(SIDES), (), generator=draw.generator))]
        colors, mattes = [], []
        for seed in draw.uniform().tolist():
            rng = np.random.default_rng(int(seed * 2**31))
            style = rng.choice(len(STYLES), p=STYLE_SHARES)
            framed = frame(
                self.scenes.pictures[int(rng.integers(len(self.scenes.pictures))), style], side, rng
            )
            colors.append(wear(framed[..., :3], rng))
            mattes.append(framed[..., 3])
        pixels = self._soften(to_pixels(np.stack(colors)), draw)
        return pixels, torch.from_numpy(np.stack(mattes)).float() / 255

    def _soften(self, pixels: Tensor, draw: Draw) -> Tensor:
        number = round(self.softened_share * len(pixels)) if self.autoencoder is not None else 0
        if not number:
            return pixels
        assert self.autoencoder is not None
        with torch.no_grad():
            latents = self.autoencoder.encode(pixels[:number])
            noise = torch.randn(latents.shape, generator=draw.generator)
            strength = torch.rand((number, 1, 1, 1), generator=draw.generator) * self.most_noise
            softened = self.autoencoder.decode(latents + strength * noise).float().clamp(-1, 1)
        return torch.cat([softened, pixels[number:]])

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write a grid of pictures above what was found in them."""
        shown = self.scenes.pictures[:8].reshape(-1, SIDE, SIDE, 4)[::3][:8]
        device = next(model.parameters()).device
        with torch.no_grad():
            found = model(to_pixels(shown[..., :3], device)).sigmoid().float().cpu().numpy()
        grey = np.repeat((found * 255).round().astype(np.uint8)[..., None], 3, axis=3)
        rows = np.stack([shown[..., :3], grey]).transpose(0, 2, 1, 3, 4)
        Image.fromarray(rows.reshape(2 * SIDE, len(shown) * SIDE, 3)).save(folder / f"sample-{step:07d}.jpg")


def _edge_error(found: Tensor, matte: Tensor) -> Tensor:
    """Return the mean absolute error of the differences between neighbours, across and down."""
    return sum(
        (functional.l1_loss(found.diff(dim=axis), matte.diff(dim=axis)) for axis in (1, 2)), torch.zeros(())
    )


@torch.no_grad()
def measure_scales(model: MatteNetwork, scenes: StyledScenes, *, pictures: int = 128) -> None:
    """Set the network's scales from the maps of the first scenes."""
    shown = scenes.pictures[: pictures // len(STYLES)].reshape(-1, SIDE, SIDE, 4)[..., :3]
    maps = [model.encoder(to_pixels(shown[start : start + 8]))[1:] for start in range(0, len(shown), 8)]
    for scale, parts in zip(model.scales, zip(*maps, strict=True), strict=True):
        assert isinstance(scale, MapScale)
        scale.measure(torch.cat(parts))


def new_matte_network(scenes: StyledScenes) -> MatteNetwork:
    """Return a network that has learned nothing but what its encoder, which stays as it is, knows already."""
    network = MatteNetwork()
    network.encoder.load_state_dict(load_lite_encoder(SIZES).state_dict())
    network.encoder.requires_grad_(False)
    measure_scales(network, scenes)
    return network


def release_matte(run: Path, path: Path) -> int:
    """Write the averaged network of a training to `path`; return the updates behind it."""
    network = MatteNetwork()
    network.encoder.load_state_dict(load_lite_encoder(SIZES).state_dict())
    step = averaged(run, network, kept=True)
    tensors, metadata = stored(network)
    write_tensors(path, tensors, {**metadata, "trained": training_facts(run, step)})
    return step
