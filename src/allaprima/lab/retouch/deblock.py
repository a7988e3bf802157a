"""Train the de-block network: `prima train deblock runs/deblock --store ... --cache ... --painted ...`.

Pairs are what the decoder makes of latents that few steps finished, and the scene those should have become
(`prima train painted`). The noisier the scene was when the denoiser began, the more the two differ in what no network
on pixels can know, so the less their difference counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.errors import WeightsError
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.painted import PaintedStore
from allaprima.lab.training.release import averaged, learned_weights, training_facts
from allaprima.lab.training.scenes import SIDE, SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.retouch.deblock import DeblockConfig, DeblockNetwork
from allaprima.paint.retouch.network_files import stored

HELD_OUT = 20
"""Every so many-th scene is learned from by nobody."""


class Pairs(NamedTuple):
    """B pictures, as painted and as they should be."""

    painted: Tensor
    """(B, 3, 256, 256) in [0, 1]."""
    scenes: Tensor
    """(B, 3, 256, 256) in [0, 1]."""
    levels: Tensor
    """(B,): the noise levels that the denoiser began at."""


@dataclass(frozen=True, kw_only=True)
class PaintedPairs:
    """Painted latents, the decoder that shows them, and the scenes."""

    store: SceneStore
    painted: PaintedStore
    autoencoder: Autoencoder

    @property
    def learned(self) -> NDArray[np.int64]:
        """The rows to learn from."""
        return np.flatnonzero(self.painted.scenes % HELD_OUT != 0)

    @property
    def held_out(self) -> NDArray[np.int64]:
        """The rows to measure on, of other scenes."""
        return np.flatnonzero(self.painted.scenes % HELD_OUT == 0)

    @torch.no_grad()
    def rows(self, rows: NDArray[np.int64]) -> Pairs:
        """Decode some rows and return them beside their scenes."""
        device = self.autoencoder.device
        latents = torch.from_numpy(self.painted.latents[rows].astype(np.float32)).to(device)
        painted = self.autoencoder.decode(latents).float().add(1).div(2).clamp(0, 1)
        scenes = to_pixels(self.store.images[self.painted.scenes[rows]], device).float().add(1).div(2)
        return Pairs(painted, scenes, torch.from_numpy(self.painted.levels[rows]).to(device))


@dataclass(frozen=True, kw_only=True)
class DeblockTask:
    """Take the blocks out of crops: absolute error of pixels."""

    pairs: PaintedPairs
    crop: int = 128
    """Side in pixels, a multiple of 2."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch of crops."""
        chosen = draw.uniform(3).numpy()
        learned = self.pairs.learned
        pairs = self.pairs.rows(learned[(chosen[:, 0] * len(learned)).astype(np.int64)])
        corners = (chosen[:, 1:] * (SIDE - self.crop + 1)).astype(np.int64)
        painted, scenes = (
            torch.stack([
                one[:, top : top + self.crop, left : left + self.crop]
                for one, (top, left) in zip(part, corners, strict=True)
            ])
            for part in (pairs.painted, pairs.scenes)
        )  # fmt: skip
        cleaned = model(painted.contiguous(memory_format=torch.channels_last)).float()
        trust = 1.0 - 0.8 * pairs.levels
        loss = ((cleaned - scenes).abs().mean((1, 2, 3)) * trust).sum() / trust.sum()
        with torch.no_grad():
            before, after = (functional.mse_loss(one, scenes) for one in (painted, cleaned))
        return {"loss": loss, "gain": 10 * torch.log10(before / after)}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write a grid: pictures as painted, above what is made of them and the scenes."""
        pairs = self.pairs.rows(self.pairs.held_out[:6])
        with torch.no_grad():
            cleaned = model(pairs.painted).float().clamp(0, 1)
        rows = torch.stack([pairs.painted, cleaned, pairs.scenes]).mul(255).round().to(torch.uint8).cpu()
        count = rows.shape[1]
        grid = rows.permute(0, 3, 1, 4, 2).reshape(3 * SIDE, count * SIDE, 3).numpy()
        Image.fromarray(np.ascontiguousarray(grid)).save(folder / f"sample-{step:07d}.png")


def release_deblock(run: Path, path: Path) -> int:
    """Write the averaged network of a training to `path`; return the updates behind it.

    Raises:
        WeightsError: the folder has no whole checkpoint, or one of another model.
    """
    learned, _ = learned_weights(run)
    try:
        fold = round((learned["enter.weight"].shape[1] / 3) ** 0.5)
        pairs = sum(name.endswith("first.weight") for name in learned)
        config = DeblockConfig(channels=len(learned["enter.weight"]), pairs=pairs, fold=fold)
    except KeyError as error:
        raise WeightsError(f"{run} is a training of another model: it has no {error}") from error
    network = DeblockNetwork(config)
    step = averaged(run, network)
    tensors, metadata = stored(network)
    write_tensors(path, tensors, {**metadata, "trained": training_facts(run, step)})
    return step
