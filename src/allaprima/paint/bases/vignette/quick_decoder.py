"""The decoder's quickest form on a CPU: 0.8 of the time, for the same picture except for rounding.

Weights are packed once in oneDNN's layout, which it otherwise does in every call. Each convolution also computes the
activation or sum that follows it. The shortcuts past resizing layers are linear, so they are added to the layers'
weights. Channels that become neighbouring pixels are ordered so that spreading them is cheap. Wide blocks convolve
with fewer products (:mod:`allaprima.paint.bases.vignette.winograd`).

Shape letters: B pictures, C latent channels, h and w latent cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from allaprima.paint.bases.vignette.autoencoder import (
    STEM,
    STRIDE,
    Autoencoder,
    ResidualBlock,
    Resize,
)
from allaprima.paint.bases.vignette.packed_convolution import (
    PackedBlock,
    PackedConvolution,
    WideBlock,
    bias_of,
    has_packed_convolutions,
    with_shortcut,
)
from allaprima.paint.bases.vignette.weight_marks import WeightMarks
from allaprima.paint.bases.vignette.winograd import CHANNELS, Winograd


class QuickDecoder:
    """An autoencoder's `decode` and `decode_coarse`, in their quick form where possible.

    Args:
        autoencoder: as loaded; while its weights differ from now, its own methods are used.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        self._autoencoder = autoencoder
        parts = (autoencoder.decoder, autoencoder.detail)
        self._layers = WeightMarks([layer for part in parts if part is not None for layer in part.modules()])
        self._ways: _Ways | None = None

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (B, C, h, w) to pixels (B, 3, 16 h, 16 w), about [-1, 1], as `Autoencoder.decode` does."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        ways = self._quick_ways(latents)
        if ways is None:
            return self._autoencoder.decode(latents)
        return ways.decode(self._autoencoder.whiten.inverse(latents))

    def decode_coarse(self, latents: Tensor) -> Tensor:
        """Map latents (B, C, h, w) to pixels (B, 3, 16 h, 16 w), as `Autoencoder.decode_coarse` does."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        ways = self._quick_ways(latents)
        if ways is None:
            return self._autoencoder.decode_coarse(latents)
        return ways.decode_coarse(self._autoencoder.whiten.inverse(latents))

    def _quick_ways(self, latents: Tensor) -> _Ways | None:
        """Return the quick form, made at its first use; None where it would not give the same pictures."""
        if not _is_quick_at(latents) or not self._layers:
            return None
        if self._ways is None:
            self._layers.hold()
            self._ways = _ways(self._autoencoder, latents.shape[-2:])
        return self._ways


def prepacked_bytes(autoencoder: Autoencoder) -> int:
    """Return the bytes that `QuickDecoder` keeps beside the weights after its first picture."""
    packed = 0
    for layer in (*autoencoder.decoder, *([] if autoencoder.detail is None else [autoencoder.detail])):
        wide = isinstance(layer, ResidualBlock) and layer.first.in_channels >= CHANNELS
        own = sum(weight.nbytes for weight in layer.parameters())
        packed += own * 16 // 9 if wide else own
    return packed


def _is_quick_at(latents: Tensor) -> bool:
    return (
        latents.device.type == "cpu"
        and latents.shape[-1] % 2 == latents.shape[-2] % 2 == 0
        and latents.dtype == torch.float32
        and torch.is_inference_mode_enabled()
        and not torch.compiler.is_compiling()
        and has_packed_convolutions()
    )


@dataclass(frozen=True, kw_only=True)
class _Grow:
    """A convolution whose channels become factor x factor pixels."""

    convolution: PackedConvolution
    factor: int

    def __call__(self, x: Tensor) -> Tensor:
        return _spread(self.convolution(x), self.factor)


_Stage = PackedBlock | WideBlock | _Grow


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """The trunk, and its two ways out."""

    trunk: list[_Stage]
    coarse: _Stage
    fine: list[_Stage]
    finish: PackedConvolution | None

    def decode_coarse(self, x: Tensor) -> Tensor:
        """Map latents before whitening to the trunk's own pixels."""
        return self.coarse(_follow(self.trunk, x))

    def decode(self, x: Tensor) -> Tensor:
        """Map latents before whitening to finished pixels."""
        if self.finish is None:
            return self.decode_coarse(x)
        features = _follow(self.trunk, x)
        pixels = self.coarse(features)
        pixels = _follow(self.fine, features).add_(pixels)
        return self.finish(pixels)


def _follow(stages: Sequence[_Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


def _ways(autoencoder: Autoencoder, size: Sequence[int]) -> _Ways:
    """Return the quick decoder, packed for latents of `size`; other sizes work too."""
    *trunk, coarse = _stages(autoencoder.decoder, size)
    detail = autoencoder.detail
    if detail is None:
        return _Ways(trunk=trunk, coarse=coarse, fine=[], finish=None)
    height, width = (side * STRIDE for side in size)
    fine = _stages([detail.grow, detail.block, detail.narrow], (height // STEM, width // STEM), spread=2)
    # The sum with what the last convolution sees is linear too.
    weight = detail.finish.weight.detach().clone()
    weight[range(3), range(3), 1, 1] += 1.0
    finish = PackedConvolution(weight, bias_of(detail.finish), (height, width))
    return _Ways(trunk=trunk, coarse=coarse, fine=fine, finish=finish)


def _stages(layers: Iterable[nn.Module], size: Sequence[int], *, spread: int = STEM) -> list[_Stage]:
    """Return the quick form of `layers`, packed for maps of `size`; a last convolution's channels are pixels.

    `spread`: how many of them, along a side.
    """
    height, width = size
    stages: list[_Stage] = []
    for layer in layers:
        if isinstance(layer, ResidualBlock) and layer.first.in_channels >= CHANNELS:
            stages.append(WideBlock(first=Winograd(layer.first), second=Winograd(layer.second)))
            continue
        if isinstance(layer, ResidualBlock):
            first, second = (
                PackedConvolution(part.weight, bias_of(part), (height, width))
                for part in (layer.first, layer.second)
            )
            stages.append(PackedBlock(first=first, second=second))
            continue
        if isinstance(layer, Resize):
            weight, bias, factor = with_shortcut(layer), bias_of(layer.project), max(1, -layer.factor)
        else:
            assert isinstance(layer, nn.Conv2d)
            weight, bias, factor = layer.weight.detach(), bias_of(layer), spread
        order = _pixels_first(len(weight), factor)
        convolution = PackedConvolution(weight[order], bias[order], (height, width))
        stages.append(_Grow(convolution=convolution, factor=factor))
        height, width = height * factor, width * factor
    return stages


def _pixels_first(channels: int, factor: int) -> Tensor:
    """Return the order that makes `pixel_shuffle`'s channels (c, row, column) into (row, column, c)."""
    return torch.arange(channels).view(-1, factor * factor).t().flatten()


def _spread(x: Tensor, factor: int) -> Tensor:
    """Map x (B, factor factor K, h, w), ordered by `_pixels_first`, to (B, K, factor h, factor w)."""
    if factor == 1:
        return x
    batch, _, height, width = x.shape
    cells = x.permute(0, 2, 3, 1).reshape(batch, height, width, factor, factor, -1)
    pixels = cells.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * factor, width * factor, -1)
    return pixels.permute(0, 3, 1, 2)
