"""Train Vignette's autoencoder on crops around the subjects.

Backgrounds are smooth and soon learned; what costs is the subjects. So half of a batch's crops are centred on a
subject, and every crop starts on a whole latent cell, as subjects do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from allaprima.lab.training.loop import Draw
from allaprima.lab.training.scenes import SIDE, SceneStore
from allaprima.paint.bases.vignette.autoencoder import STRIDE, Autoencoder, AutoencoderConfig


@dataclass(frozen=True, kw_only=True)
class ReconstructionTask:
    """Reconstruct crops: absolute and squared error of pixels and absolute error of their gradients.

    Raises:
        ValueError: the crop is not whole cells, or cannot be halved though it is to be.
    """

    stores: tuple[SceneStore, ...]
    crop: int = 128
    """Side of a crop in pixels, a multiple of 16; 256 trains on whole pictures."""
    squared_weight: float = 5.0
    gradient_weight: float = 0.5
    likeness_weight: float = 0.0
    """On 1 - SSIM, which sees what a mean error does not: that thin rain is there at all."""
    shrunk_share: float = 0.0
    """How often a batch's latents are halved in size and must decode to the halved picture (EQ-VAE, arXiv
    2502.09509). It makes latents smooth, which is what a denoiser learns quickly."""
    noise: float | None = None
    """Latents get noise of a strength between 0 and this, another for every picture, in place of the configuration's
    own. A decoder that has seen much of it forgives what a denoiser leaves undone."""
    size_weight: float = 0.003
    """On the mean square of the latents; without it they would grow until the noise means nothing."""

    def __post_init__(self) -> None:
        """Refuse crops that do not fit the latent."""
        cell = 2 * STRIDE if self.shrunk_share else STRIDE
        if self.crop % cell:
            raise ValueError(f"got a crop of {self.crop}; expected a multiple of {cell}")

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch of crops; see the class."""
        pixels = to_pixels(self.crops(draw), draw.device)
        shrink = 2 if float(torch.rand((), generator=draw.generator)) < self.shrunk_share else 1
        cells = self.crop // STRIDE // shrink
        noise = draw.noise(model_config(model).latent_channels, cells, cells)
        if self.noise is not None:
            strength = draw.uniform(1, 1, 1).to(draw.device) * self.noise / model_config(model).latent_noise
            noise = noise * strength
        output, latents = (tensor.float() for tensor in model(pixels, noise, shrink))
        pixels = functional.avg_pool2d(pixels, shrink)
        squared = functional.mse_loss(output, pixels)
        values = {"absolute": functional.l1_loss(output, pixels), "gradient": gradient_error(output, pixels)}
        values["size"] = latents.square().mean()
        loss = values["absolute"] + self.squared_weight * squared + self.gradient_weight * values["gradient"]
        loss = loss + self.size_weight * values["size"]
        if self.likeness_weight:
            values["unlike"] = 1 - likeness(output, pixels)
            loss = loss + self.likeness_weight * values["unlike"]
        return {"loss": loss, "psnr": 10 * torch.log10(4.0 / squared.detach()), **values}

    def crops(self, draw: Draw) -> NDArray[np.uint8]:
        """Return the uint8 crops (rows, crop, crop, 3) of this process."""
        span = (SIDE - self.crop) // STRIDE + 1
        chosen = draw.uniform(4).numpy()
        crops = np.empty((len(chosen), self.crop, self.crop, 3), np.uint8)
        for row, (which, where, x, y) in enumerate(chosen):
            store = self.stores[int(which * len(self.stores) * 0.999999)]
            index = int((which * len(self.stores) % 1.0) * len(store.images))
            left, top = int(x * span), int(y * span)
            if where < 0.5 and span > 1:
                left, top = _corner_on_subject(store.masks[index], x, span, self.crop // STRIDE)
            left, top = left * STRIDE, top * STRIDE
            crops[row] = store.images[index, top : top + self.crop, left : left + self.crop]
        return crops

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write a grid of pictures above their reconstructions."""
        images = self.stores[0].images[:8]
        with torch.no_grad():
            device = next(model.parameters()).device
            output = model(to_pixels(images, device))[0].float().cpu()
        rows = np.stack([images, from_pixels(output)])
        grid = rows.transpose(0, 2, 1, 3, 4).reshape(2 * SIDE, len(images) * SIDE, 3)
        Image.fromarray(grid).save(folder / f"sample-{step:07d}.png")


def _corner_on_subject(mask: NDArray[np.uint8], x: float, span: int, cells: int) -> tuple[int, int]:
    """Return a corner in cells such that a random covered cell is near the middle of the crop."""
    covered = np.flatnonzero(mask > 100)
    if not len(covered):
        return int(x * span), int((x * 7.0 % 1.0) * span)
    row, column = divmod(int(covered[int(x * len(covered))]), mask.shape[1])
    return tuple(int(np.clip(cell - cells // 2, 0, span - 1)) for cell in (column, row))  # type: ignore[return-value]


def model_config(model: nn.Module) -> AutoencoderConfig:
    """Return an autoencoder's configuration, wrapped for several devices or not."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, Autoencoder)
    return inner.config


def gradient_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical pixel differences of two (B, 3, H, W) pictures."""
    across = functional.l1_loss(output.diff(dim=3), target.diff(dim=3))
    return across + functional.l1_loss(output.diff(dim=2), target.diff(dim=2))


def likeness(output: Tensor, target: Tensor, window: int = 8, stride: int = 4) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of two (B, 3, H, W) pictures in [-1, 1], in square windows.

    The measure's round windows cost more than the autoencoder does; these see the same.
    """
    output, target = output.float(), target.float()  # differences of large numbers: nothing is left in bf16
    mean, other, square, other_square, product = (
        functional.avg_pool2d(one, window, stride)
        for one in (output, target, output.square(), target.square(), output * target)
    )
    spread, shared = square - mean.square() + other_square - other.square(), product - mean * other
    first, second = (0.01 * 2.0) ** 2, (0.03 * 2.0) ** 2
    alike = (2 * mean * other + first) / (mean.square() + other.square() + first)
    return (alike * (2 * shared + second) / (spread + second)).mean()


def to_pixels(images: NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """Turn uint8 (B, H, W, 3) into floats (B, 3, H, W) in [-1, 1], channels last, on `device` (None: the CPU)."""
    pixels = torch.from_numpy(np.array(images))
    if device is not None and device.type == "cuda":
        pixels = pixels.pin_memory()  # bytes travel, and nobody waits for them
    return pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def from_pixels(pixels: Tensor) -> NDArray[np.uint8]:
    """Turn floats (B, 3, H, W) in [-1, 1] into uint8 (B, H, W, 3)."""
    rounded = pixels.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    array: NDArray[np.uint8] = rounded.permute(0, 2, 3, 1).contiguous().numpy()
    return array
