"""Vignette's autoencoder: 256x256 pixels to a 16x16 latent and back.

Both halves are residual convolutions without normalisation (EDSR, arXiv:1707.02921). Parameter-free space-to-channel
shortcuts join the resolutions (DC-AE, arXiv:2410.10733), so that training starts from an average of the pixels. The
first layer sees 4x4 pixels as channels, and the decoder's trunk gives them back as such, which keeps both quick on a
processor. What makes outlines run is a narrow second way out of the trunk, which convolves at half and at full
resolution (:class:`Detail`).

The latent is whitened per channel, so samplers may assume zero mean and unit variance. In training, noise is added to
it, which makes the decoder tolerate a denoiser's errors, and a small penalty limits its size.

Shape letters: B pictures, C latent channels, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 16
"""Pixels to a latent cell, along a side."""
STEM = 4
"""Pixels along a side that become channels before the first convolution."""
LAPLACIAN = 0.05
"""How strongly an untrained decoder's last convolution steepens edges."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The size of an :class:`Autoencoder`; `widths` and `depths` go from fine (1/4) to coarse (1/16)."""

    latent_channels: int = 16
    encoder_widths: tuple[int, int, int] = (64, 128, 256)
    encoder_depths: tuple[int, int, int] = (2, 2, 3)
    decoder_widths: tuple[int, int, int] = (64, 128, 256)
    decoder_depths: tuple[int, int, int] = (1, 1, 2)
    detail_width: int = 0
    """Channels at half resolution of the decoder's second way out; 0 for a decoder without one."""
    latent_noise: float = 0.05
    """The standard deviation of the noise that training adds to the latent."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input; before training, the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, width, H, W)."""
        changed: Tensor = x + self.second(functional.silu(self.first(x)))
        return changed


class Resize(nn.Module):
    """Change resolution and width at once: a convolution beside a parameter-free shortcut.

    `factor` 2 goes down (pixels become channels), 1 keeps the resolution, -2 goes up.
    """

    def __init__(self, width_in: int, width_out: int, factor: int) -> None:
        super().__init__()
        self.factor, self.width_out = factor, width_out
        area = factor * factor
        entering = width_in * area if factor > 0 else width_in
        leaving = width_out if factor > 0 else width_out * area
        self.project = nn.Conv2d(entering, leaving, 1 if factor != 1 else 3, padding=0 if factor != 1 else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width_in, H, W) to (B, width_out, H / factor, W / factor)."""
        if self.factor > 1:
            x = functional.pixel_unshuffle(x, self.factor)
        y = self.project(x) + match_channels(x, self.project.out_channels)
        return functional.pixel_shuffle(y, -self.factor) if self.factor < 0 else y


def match_channels(x: Tensor, channels: int) -> Tensor:
    """Return `x` (B, K, H, W) with its channels averaged or repeated to be `channels`."""
    present = x.shape[1]
    if present % channels == 0:
        batch, _, height, width = x.shape
        return x.reshape(batch, channels, present // channels, height, width).mean(2)
    repeats = -(-channels // present)
    return x.repeat_interleave(repeats, dim=1)[:, :channels]


class Detail(nn.Module):
    """The fine end of the decoder: what no 4x4 pixels made at once can have, such as an outline that runs straight.

    Before training it changes nothing. The last convolution stands at full resolution on the finished colours and
    begins as a weak Laplacian, which steepens edges.
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.grow = Resize(width_in, width, -2)
        self.block = ResidualBlock(width)
        self.narrow = nn.Conv2d(width, 3 * 4, 3, padding=1)
        self.finish = nn.Conv2d(3, 3, 3, padding=1)
        for layer in (self.narrow, self.finish):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            laplacian = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
            for channel in range(3):
                self.finish.weight[channel, channel] = LAPLACIAN * laplacian

    def forward(self, features: Tensor, coarse: Tensor) -> Tensor:
        """Return the finished pixels (B, 3, 4 h, 4 w) for a trunk's features (B, K, h, w) and its own pixels."""
        fine = functional.pixel_shuffle(self.narrow(self.block(self.grow(features))), 2)
        pixels = coarse + fine
        finished: Tensor = pixels + self.finish(pixels)
        return finished


class Whitening(nn.Module):
    """Subtracts each channel's mean and divides by its deviation, as measured once after training.

    In training it is the identity. Batch normalisation in its place moved every picture's colours with its
    neighbours', which held reconstructions at 19 dB; with running statistics the encoder outgrew them and diverged.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to about zero mean and unit variance per channel."""
        return (x - self.mean[:, None, None]) / self.deviation[:, None, None]

    def inverse(self, x: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return x * self.deviation[:, None, None] + self.mean[:, None, None]


class Autoencoder(nn.Module):
    """Pixels to latents and back; see the module docstring."""

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AutoencoderConfig()
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        fine = config.decoder_widths[0]
        self.detail = Detail(fine, config.detail_width) if config.detail_width else None
        self.whiten = Whitening(config.latent_channels)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def encode(self, pixels: Tensor) -> Tensor:
        """Map pixels (B, 3, H, W) in [-1, 1], H and W multiples of 16, to latents (B, C, H/16, W/16).

        Each latent channel has mean 0 and variance 1 over the training pictures.
        """
        if pixels.shape[-1] % STRIDE or pixels.shape[-2] % STRIDE:
            raise ValueError(
                f"got pixels of shape {tuple(pixels.shape)}; sides must be multiples of {STRIDE}"
            )
        latents: Tensor = self.whiten(self.encoder(functional.pixel_unshuffle(pixels, STEM)))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (B, C, h, w) to pixels (B, 3, 16 h, 16 w), about [-1, 1] and not clamped."""
        return self.decode_both(latents)[0]

    def decode_coarse(self, latents: Tensor) -> Tensor:
        """Return about what `decode` does, sooner: the pixels (B, 3, 16 h, 16 w) of the decoder's trunk alone."""
        return functional.pixel_shuffle(self.decoder(self.whiten.inverse(latents)), STEM)

    def decode_both(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `decode` and `decode_coarse` do, which is the same without a `Detail`."""
        if self.detail is None:
            coarse = self.decode_coarse(latents)
            return coarse, coarse
        unwhitened = self.whiten.inverse(latents)
        features = self.decoder[:-1](unwhitened)
        coarse = functional.pixel_shuffle(self.decoder[-1](features), STEM)
        return self.detail(features, coarse), coarse

    def forward(self, pixels: Tensor, noise: Tensor | None = None, shrink: int = 1) -> tuple[Tensor, Tensor]:
        """Encode, shrink the latents `shrink` times, add `noise` at the configuration's strength, and decode.

        Args:
            noise: of the shape of the latents that are decoded.
            shrink: by how much the sides of the latents are divided.

        Returns:
            The reconstruction, 1 / `shrink` as large as `pixels`, and the latents before they are shrunk.
        """
        latents = self.encode(pixels)
        decoded = functional.avg_pool2d(latents, shrink) if shrink > 1 else latents
        if noise is not None:
            decoded = decoded + self.config.latent_noise * noise
        return self.decode(decoded), latents


def _encoder(config: AutoencoderConfig) -> nn.Sequential:
    fine, middle, coarse = config.encoder_widths
    blocks = config.encoder_depths
    return nn.Sequential(
        nn.Conv2d(3 * STEM * STEM, fine, 3, padding=1),
        *(ResidualBlock(fine) for _ in range(blocks[0])),
        Resize(fine, middle, 2),
        *(ResidualBlock(middle) for _ in range(blocks[1])),
        Resize(middle, coarse, 2),
        *(ResidualBlock(coarse) for _ in range(blocks[2])),
        Resize(coarse, config.latent_channels, 1),
    )


def _decoder(config: AutoencoderConfig) -> nn.Sequential:
    fine, middle, coarse = config.decoder_widths
    blocks = config.decoder_depths
    return nn.Sequential(
        Resize(config.latent_channels, coarse, 1),
        *(ResidualBlock(coarse) for _ in range(blocks[2])),
        Resize(coarse, middle, -2),
        *(ResidualBlock(middle) for _ in range(blocks[1])),
        Resize(middle, fine, -2),
        *(ResidualBlock(fine) for _ in range(blocks[0])),
        nn.Conv2d(fine, 3 * STEM * STEM, 3, padding=1),
    )
