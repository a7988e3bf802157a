"""Train the upscaler that ships: from halved scenes, and from scenes as Vignette paints them, to sharp ones.

Pictures are halved in the ways in which programs halve them, some are written as JPEG files in between, and some are
Vignette's own: an upscaler that knew one clean way alone would sharpen the faults of all others.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.errors import WeightsError
from allaprima.lab.retouch.pictures import SIDE, LargePictures
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.release import averaged, learned_weights, training_facts
from allaprima.paint.retouch.upscaler import SCALE, Upscaler, UpscalerConfig
from allaprima.paint.retouch.upscaler_files import stored_upscaler

HALVINGS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BICUBIC,
    Image.Resampling.BOX,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True, kw_only=True)
class UpscaleTask:
    """Draw sharp crops again from halved ones: absolute error of pixels, as is usual for upscalers."""

    stores: tuple[LargePictures, ...]
    crop: int = 96
    """Side of the sharp crops in pixels, an even number."""
    painted_share: float = 0.2
    """How often the halved crop is one that Vignette's autoencoder painted."""
    jpeg_share: float = 0.15
    """How often it went through a JPEG file."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch of crops."""
        small, sharp = (_to_tensor(one, draw.device) for one in self.crops(draw))
        output = model(small).float()
        loss = functional.l1_loss(output, sharp)
        psnr = -10 * torch.log10(functional.mse_loss(output.detach(), sharp))
        return {"loss": loss, "psnr": psnr}

    def crops(self, draw: Draw) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the halved and the sharp crops (rows, side, side, 3) of this process, turned by chance."""
        half = self.crop // SCALE
        chosen = draw.uniform(8).numpy()
        small = np.empty((len(chosen), half, half, 3), np.uint8)
        sharp = np.empty((len(chosen), self.crop, self.crop, 3), np.uint8)
        for row, (which, x, y, painted, way, jpeg, quality, turn) in enumerate(chosen):
            store = self.stores[int(which * len(self.stores) * 0.999999)]
            index = int((which * len(self.stores) % 1.0) * len(store.sharp))
            span = (SIDE - self.crop) // SCALE + 1
            left, top = int(x * span), int(y * span)
            large = store.sharp[index, SCALE * top :, SCALE * left :][: self.crop, : self.crop]
            if painted < self.painted_share:
                little = store.painted[index, top : top + half, left : left + half]
            else:
                little = halve(large, HALVINGS[int(way * len(HALVINGS))])
            if jpeg < self.jpeg_share:
                little = through_jpeg(little, 50 + int(quality * 46))
            small[row], sharp[row] = (turned(one, int(turn * 8)) for one in (little, large))
        return small, sharp

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write a grid: halved crops above the upscaled and the sharp ones."""
        store, side = self.stores[0], 192
        begin = (SIDE - side) // 2
        sharp = store.sharp[:6, begin : begin + side, begin : begin + side]
        small = np.stack([halve(one, Image.Resampling.BICUBIC) for one in sharp])
        with torch.no_grad():
            device = next(model.parameters()).device
            output = model(_to_tensor(small, device)).float().cpu()
        upscaled = output.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        rows = np.stack([small.repeat(SCALE, 1).repeat(SCALE, 2), upscaled, sharp])
        grid = rows.transpose(0, 2, 1, 3, 4).reshape(3 * side, len(sharp) * side, 3)
        Image.fromarray(grid).save(folder / f"sample-{step:07d}.png")


def release_upscaler(run: Path, path: Path) -> int:
    """Write the averaged weights of a training's folder as the file that ships; return the updates behind them.

    Raises:
        WeightsError: the folder has no whole checkpoint, or one of another model.
    """
    learned, _ = learned_weights(run)
    try:
        pairs = sum(name.endswith("first.weight") for name in learned)
        model = Upscaler(UpscalerConfig(channels=len(learned["enter.weight"]), pairs=pairs))
    except KeyError as error:
        raise WeightsError(f"{run} is a training of another model: it has no {error}") from error
    step = averaged(run, model)
    tensors, metadata = stored_upscaler(model)
    write_tensors(path, tensors, {**metadata, "trained": training_facts(run, step)})
    return step


def halve(large: NDArray[np.uint8], way: Image.Resampling) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with half the pixels a side."""
    picture = Image.fromarray(np.ascontiguousarray(large))
    return np.asarray(picture.resize((picture.width // SCALE, picture.height // SCALE), way))


def through_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) as a JPEG file of a quality (1 to 95) gives it back."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def turned(picture: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Return a square picture turned by quarters and, from 4 on, mirrored."""
    return np.rot90(picture[:, ::-1] if turn >= 4 else picture, turn % 4)


def _to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn uint8 (B, H, W, 3) into floats (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
