"""Vignette's denoiser: Qwen-Image's transformer in a small configuration.

Its weights have the names of diffusers' `QwenImageTransformer2DModel`, and its LoRA keys, its 2x2 packing and its
rotary positions are the same, so what works on it works on Qwen-Image. Only the sizes differ. A denoiser that also
reads where things stand has more input channels, which hold their map (:mod:`allaprima.paint.bases.vignette.layout`).

Shape letters: B pictures, C latent channels, M channels of the map, h and w latent cells, L text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.bases.vignette.layout import KindCode
from allaprima.paint.bases.vignette.mmdit import Block, Moment, Transformer

PATCH = 2


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The size of a :class:`Denoiser`."""

    latent_channels: int = 16
    layout_channels: int = 0
    """Of the map of what stands where; 0 for a denoiser that reads words alone."""
    layers: int = 8
    heads: int = 4
    head_width: int = 64
    text_width: int = 384
    rope_axes: tuple[int, int, int] = (16, 24, 24)
    """How many of a head's dimensions rotate with frame, row and column; they sum to `head_width`."""

    def __post_init__(self) -> None:
        """Refuse axes that do not fill a head."""
        if sum(self.rope_axes) != self.head_width:
            raise ValueError(
                f"got rope axes {self.rope_axes}; expected a sum of {self.head_width}, the head's width"
            )


class Denoiser(nn.Module):
    """The network that predicts flow matching's velocity, `noise - picture`."""

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DenoiserConfig()
        folded = config.latent_channels * PATCH * PATCH
        self.transformer = Transformer(
            in_channels=folded + config.layout_channels * PATCH * PATCH,
            out_channels=folded,
            layers=config.layers,
            heads=config.heads,
            head_width=config.head_width,
            text_width=config.text_width,
            rope_axes=config.rope_axes,
        )
        self.kind_code = KindCode(config.text_width) if config.layout_channels else None

    def begin(self) -> None:
        """Set fresh weights for training, with which every block is the identity (adaLN-Zero, arXiv:2212.09748)."""
        for block in self.transformer.transformer_blocks:
            assert isinstance(block, Block)
            _zero(block.img_mod[1])
            _zero(block.txt_mod[1])
        _zero(self.transformer.norm_out.linear)
        _zero(self.transformer.proj_out)

    def forward(
        self,
        latents: Tensor,
        t: Tensor | Moment,
        states: Tensor,
        mask: Tensor | None = None,
        layout: Tensor | None = None,
    ) -> Tensor:
        """Return the velocity, of the shape of `latents`.

        Args:
            latents: (B, C, h, w), h and w even.
            t: (B,) times in [0, 1], where 1 is noise; or a moment, see `Transformer.moment`.
            states: (B, L, text_width) token states.
            mask: (B, L) bool, True where a token counts; None if all do.
            layout: (B, M, h, w), the map of what stands where; None leaves that open.
        """
        height, width = latents.shape[-2:]
        size = height // PATCH, width // PATCH
        packed: Tensor = self.transformer(pack(self.with_map(latents, layout)), states, mask, t, size)
        return unpack(packed, height, width)

    def with_map(self, latents: Tensor, layout: Tensor | None) -> Tensor:
        """Return latents (B, C, h, w) with the map's channels behind theirs, if this denoiser reads a map."""
        channels = self.config.layout_channels
        if layout is None:
            layout = latents.new_zeros(len(latents), channels, *latents.shape[2:])
        return torch.cat([latents, layout.to(latents.dtype)], dim=1) if channels else latents


@torch.no_grad()
def with_layout(denoiser: Denoiser, channels: int) -> Denoiser:
    """Return a copy that also reads `channels` of a layout's map; fresh, they change no picture."""
    if known := denoiser.config.layout_channels:
        raise ValueError(f"got a denoiser with {known} layout channels; expected none yet")
    grown = Denoiser(replace(denoiser.config, layout_channels=channels))
    state = denoiser.state_dict()
    weight = state["transformer.img_in.weight"]
    state["transformer.img_in.weight"] = functional.pad(weight, (0, channels * PATCH * PATCH))
    grown.load_state_dict({**grown.state_dict(), **state})
    return grown


def pack(latents: Tensor) -> Tensor:
    """Fold 2x2 cells into one token: (B, C, h, w) to (B, h/2 w/2, 4 C), in QwenImagePipeline's order."""
    batch, channels, height, width = latents.shape
    folded = latents.view(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return folded.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * PATCH * PATCH)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """Undo :func:`pack` for a latent of height x width cells."""
    batch, _, folded = tokens.shape
    channels = folded // (PATCH * PATCH)
    cells = tokens.view(batch, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, width)


def _zero(layer: nn.Module) -> None:
    assert isinstance(layer, nn.Linear)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
