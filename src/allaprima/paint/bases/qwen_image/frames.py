"""Qwen-Image's autoencoder, made for videos, cut down to the single frame that a picture is.

Its convolutions are three frames deep and look back in time. Before the first frame there is nothing but zeros,
so two thirds of every product are with zeros; only the kernel's last slice meets the picture. Taking that
slice as a convolution in two dimensions gives the same picture from a third of the work, and without the
copies of every layer's input that the video form keeps for the frame that never comes.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor, nn
from torch.nn import functional


class FrameAutoencoder(AutoencoderKLQwenImage):  # type: ignore[misc]  # diffusers ships no types
    """The autoencoder of diffusers for pictures only; tiling, slicing and offloading work as they do there."""

    def flatten(self) -> FrameAutoencoder:
        """Replace the convolutions in time, in place; to be called once, after the weights are loaded."""
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if _is_causal(child):
                    setattr(module, name, FrameConv(child))
        return self

    def clear_cache(self) -> None:
        """Keep no frames for later: None is what the layers take for "there is no video"."""
        self._conv_idx, self._feat_map = [0], None
        self._enc_conv_idx, self._enc_feat_map = [0], None


class FrameConv(nn.Module):
    """A causal convolution as its first frame sees it."""

    def __init__(self, conv: Any) -> None:
        super().__init__()
        left, _, top, *_ = conv._padding
        self.padding = (top, left)
        last = conv.weight.detach()[:, :, -1].contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(last, requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor, cache_x: Any = None) -> Tensor:
        """Map (B, C, 1, h, w) to (B, C', 1, h', w'); there is never a frame before."""
        del cache_x
        return functional.conv2d(x[:, :, 0], self.weight, self.bias, padding=self.padding)[:, :, None]


def _is_causal(module: nn.Module) -> bool:
    """Whether the module sees the present frame last; those that join two frames never see a picture's."""
    return isinstance(module, QwenImageCausalConv3d) and module.kernel_size[0] == module._padding[4] + 1
