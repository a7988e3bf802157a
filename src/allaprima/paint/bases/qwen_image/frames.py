"""Qwen-Image's video autoencoder, reduced to the single frame of a picture.

Its convolutions are three frames deep and look back in time. Before the first frame there are only zeros, so two
thirds of every product are with zeros, and only the kernel's last slice meets the picture. A two-dimensional
convolution with that slice gives the same picture for a third of the work, without the copies of every layer's input
that the video form keeps for a next frame.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor, nn
from torch.nn import functional


class FrameAutoencoder(AutoencoderKLQwenImage):  # type: ignore[misc]  # diffusers ships no types
    """The autoencoder of diffusers, for pictures only; tiling, slicing and offloading work as in diffusers."""

    def flatten(self) -> FrameAutoencoder:
        """Replace the convolutions in time, in place; call it once, after the weights are loaded."""
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if _is_causal(child):
                    setattr(module, name, FrameConv(child))
        return self

    def clear_cache(self) -> None:
        """Keep no frames: a feature map of None tells the layers that there is no video."""
        self._conv_idx, self._feat_map = [0], None
        self._enc_conv_idx, self._enc_feat_map = [0], None


class FrameConv(nn.Module):
    """A causal convolution, for the first frame alone."""

    def __init__(self, conv: Any) -> None:
        super().__init__()
        left, _, top, *_ = conv._padding
        self.padding = (top, left)
        last = conv.weight.detach()[:, :, -1].contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(last, requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor, cache_x: Any = None) -> Tensor:
        """Map (B, C, 1, h, w) to (B, C', 1, h', w'); there is never an earlier frame."""
        del cache_x
        return functional.conv2d(x[:, :, 0], self.weight, self.bias, padding=self.padding)[:, :, None]


def _is_causal(module: nn.Module) -> bool:
    """Return whether the module sees the present frame last; a module that joins two frames never runs here."""
    return isinstance(module, QwenImageCausalConv3d) and module.kernel_size[0] == module._padding[4] + 1
