"""The encoder's quickest form on a CPU: 0.7 of the time, for the same latents except for rounding.

As in :mod:`allaprima.paint.bases.vignette.quick_decoder`, weights are packed once, activations, sums and shortcuts
are computed by the convolutions, and pixels that become channels are ordered so that gathering them is one copy.

Shape letters: B pictures, C latent channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from allaprima.paint.bases.vignette.autoencoder import STEM, STRIDE, Autoencoder, ResidualBlock, Resize
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

_DTYPES = (torch.float32, torch.bfloat16)


class QuickEncoder:
    """An autoencoder's `encode`, in its quick form where possible.

    Args:
        autoencoder: as loaded; while its weights differ from now, its own `encode` is used.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        self._autoencoder = autoencoder
        self._layers = WeightMarks(list(autoencoder.encoder.modules()))
        self._stages: list[_Stage] = []

    def encode(self, pixels: Tensor) -> Tensor:
        """Map pixels (B, 3, H, W) in [-1, 1] to latents (B, C, H/16, W/16), as `Autoencoder.encode` does."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if not _is_quick_at(pixels) or not self._layers:
            return self._autoencoder.encode(pixels)
        if not self._stages:
            self._layers.hold()
            self._stages = _stages(self._autoencoder.encoder, pixels.shape[-2:], pixels.dtype)
        x = pixels
        for stage in self._stages:
            x = stage(x)
        latents: Tensor = self._autoencoder.whiten(x)
        return latents


def packed_encoder_bytes(autoencoder: Autoencoder) -> int:
    """Return the bytes that `QuickEncoder` keeps beside the weights after its first picture."""
    packed = 0
    for layer in autoencoder.encoder:
        own = sum(weight.nbytes for weight in layer.parameters())
        wide = next(layer.parameters()).dtype == torch.float32 and _is_wide(layer)
        packed += own * 16 // 9 if wide else own
    return packed


def _is_quick_at(pixels: Tensor) -> bool:
    return (
        pixels.device.type == "cpu"
        and pixels.shape[-1] % (2 * STRIDE) == pixels.shape[-2] % (2 * STRIDE) == 0
        and pixels.dtype in _DTYPES
        and torch.is_inference_mode_enabled()
        and not torch.compiler.is_compiling()
        and has_packed_convolutions()
    )


def _is_wide(layer: nn.Module) -> bool:
    return isinstance(layer, ResidualBlock) and layer.first.in_channels >= CHANNELS


@dataclass(frozen=True, kw_only=True)
class _Shrink:
    """A convolution that sees factor x factor pixels as channels."""

    convolution: PackedConvolution
    factor: int

    def __call__(self, x: Tensor) -> Tensor:
        return self.convolution(_gather(x, self.factor))


_Stage = PackedBlock | WideBlock | _Shrink


def _stages(encoder: nn.Sequential, size: Sequence[int], dtype: torch.dtype) -> list[_Stage]:
    """Return the quick layers of `encoder`, packed for pictures of `size`; other sizes work too."""
    height, width = size
    stages: list[_Stage] = []
    for layer in encoder:
        if isinstance(layer, ResidualBlock):
            parts = (layer.first, layer.second)
            # Winograd pays in the wide format only: in bf16 the direct products are as quick.
            if _is_wide(layer) and dtype == torch.float32:
                stages.append(WideBlock(first=Winograd(parts[0]), second=Winograd(parts[1])))
            else:
                packed = (PackedConvolution(part.weight, bias_of(part), (height, width)) for part in parts)
                stages.append(PackedBlock(first=next(packed), second=next(packed)))
            continue
        if isinstance(layer, Resize):
            weight, bias, factor = with_shortcut(layer), bias_of(layer.project), max(1, layer.factor)
        else:
            assert isinstance(layer, nn.Conv2d)
            weight, bias, factor = layer.weight.detach(), bias_of(layer), STEM
        height, width = height // factor, width // factor
        order = torch.arange(weight.shape[1]).view(-1, factor * factor).t().flatten()
        stages.append(
            _Shrink(convolution=PackedConvolution(weight[:, order], bias, (height, width)), factor=factor)
        )
    return stages


def _gather(x: Tensor, factor: int) -> Tensor:
    """Map x (B, K, factor h, factor w) to (B, factor factor K, h, w): for each row and column, all K channels."""
    if factor == 1:
        return x
    batch, channels, height, width = x.shape
    cells = x.permute(0, 2, 3, 1).reshape(batch, height // factor, factor, width // factor, factor, channels)
    pixels = cells.permute(0, 1, 3, 2, 4, 5).reshape(batch, height // factor, width // factor, -1)
    return pixels.permute(0, 3, 1, 2)
