"""Qwen-Image as a base: Qwen2.5-VL reads, a double-stream transformer paints, a video autoencoder decodes.

    base = load_qwen_image(Path("Qwen-Image-2512"))
    text = base.encode_text(["a cat on a rooftop"])

Latents are packed, (B, 64, height/16, width/16): a token is 2x2 cells of 16 channels. The transformer takes them so,
and rescaled guidance keeps the norm over a token. They lie in memory token by token, so that turning them into tokens
and back copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.dtypes import dtype_of
from allaprima.paint.bases.qwen_image.text import PromptEncoder
from allaprima.paint.bases.qwen_image.traits import TRAITS
from allaprima.paint.bases.word_remarks import remarks_on_words, without_weights
from allaprima.paint.contract.base import (
    GuidanceRule,
    Prediction,
    Stage,
    TextStates,
    average_mask,
    clamp_pixels,
)
from allaprima.paint.contract.resident import ResidentBase
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.contract.traits import BaseTraits
from allaprima.paint.sampling.flow_schedule import FlowSettings, adaptive_cosine_schedule, lightning_schedule
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.paint.sampling.noise import seeded_noise

if TYPE_CHECKING:
    from diffusers import QwenImageTransformer2DModel

    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder

PATCH = 2
SCHEDULES = {"lightning": lightning_schedule, "adaptive-cosine": adaptive_cosine_schedule}
"""The schedules that a request may name; each is made from the number of steps."""


@dataclass(frozen=True, kw_only=True)
class QwenImageBase(ResidentBase):
    """A loaded Qwen-Image on one device; see :class:`allaprima.paint.contract.base.Base`."""

    transformer: QwenImageTransformer2DModel
    autoencoder: FrameAutoencoder
    text: PromptEncoder
    name: str
    flow: FlowSettings = field(default_factory=FlowSettings)
    """The settings in the checkpoint's scheduler_config.json."""
    defaults: RequestDefaults = TRAITS.defaults
    family: str = TRAITS.family
    traits: BaseTraits = TRAITS
    prediction: Prediction = "flow"
    guidance_rule: GuidanceRule = "rescaled"
    reads_mask: bool = False

    @property
    def stride(self) -> int:
        """Pixels to a token: 16."""
        return PATCH * int(self.autoencoder.spatial_compression_ratio)

    @property
    def text_widths(self) -> tuple[int, None]:
        """The transformer's text width; there is no pooled text."""
        return int(self.transformer.config.joint_attention_dim), None

    def check_size(self, width: int, height: int) -> None:
        """Refuse sides that are not whole numbers of tokens."""
        if width % self.stride or height % self.stride:
            raise RequestError(
                f"got size {width}x{height}; expected sides that are multiples of {self.stride}, such as "
                f"{_nearest(width, self.stride)}x{_nearest(height, self.stride)}",
                field="size",
            )

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the checkpoint's own schedule, whose shift grows with the size, or one of `SCHEDULES`."""
        if name is not None and name not in SCHEDULES:
            raise RequestError(f"got the schedule {name[:40]!r}; expected {' or '.join(SCHEDULES)}")
        try:
            if name is not None:
                return SCHEDULES[name](steps)
            return self.flow.schedule(steps, (width // self.stride) * (height // self.stride))
        except (ArithmeticError, ValueError) as error:
            raise RequestError(
                f"got {steps} steps of {width}x{height} pixels, for which no noise levels follow ({error}); "
                "expected fewer steps or another size"
            ) from error

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return token states (B, L, 3584); prompts beyond 512 tokens are cut, the empty prompt is a space."""
        return self.text.encode([without_weights(prompt) for prompt in prompts])

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return what of the words is beyond 512 tokens, or is read as letters."""
        guides = needs_negative(self, request.guidance)
        return remarks_on_words(request, self.text.unread, guides=guides, weighs=False)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """Return the noise (B, 64, height/16, width/16) that diffusers draws for the same seeds."""
        cell = self.stride // PATCH
        shape = (int(self.autoencoder.config.z_dim), height // cell, width // cell)
        return pack(seeded_noise(seeds, shape, self.device))

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for latents (B, 64, h, w) at times `t` (B,) in [0, 1].

        Prompts of different lengths go through the model one length after the other: padding would cost more than
        it saves, and change their last bits.
        """
        lengths = text.lengths
        if len(set(lengths)) == 1:
            return self._predict(latents, t, text.states[:, : lengths[0]])
        velocity = torch.empty_like(latents)
        for length in dict.fromkeys(lengths):
            rows = [row for row, other in enumerate(lengths) if other == length]
            # Both halves of guided latents are slices; an index list would copy.
            chosen = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
            velocity[chosen] = self._predict(latents[chosen], t[chosen], text.states[chosen, :length]).to(
                velocity.dtype
            )
        return velocity

    def _predict(self, latents: Tensor, t: Tensor, states: Tensor) -> Tensor:
        height, width = latents.shape[2:]
        tokens = self.transformer(
            hidden_states=latents.permute(0, 2, 3, 1).flatten(1, 2).to(self.dtype),
            encoder_hidden_states=states.to(self.dtype),
            timestep=t,
            img_shapes=[(1, height, width)],
            return_dict=False,
        )[0]
        velocity: Tensor = tokens.reshape(len(tokens), height, width, -1).permute(0, 3, 1, 2)
        return velocity

    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        cells = unpack(latents.float())
        mean, scale = self._statistics(cells.device)
        frames = (cells / scale + mean).to(dtype_of(self.autoencoder))[:, :, None]
        pixels: Tensor = self.autoencoder.decode(frames, return_dict=False)[0][:, :, 0]
        return clamp_pixels(pixels.float().mul(0.5).add(0.5))

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the most likely latents (B, 64, h, w) of pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        device = self.autoencoder.device
        frames = pixels.to(device=device, dtype=dtype_of(self.autoencoder)).mul(2.0).sub(1.0)[:, :, None]
        cells: Tensor = self.autoencoder.encode(frames, return_dict=False)[0].mode()[:, :, 0].float()
        mean, scale = self._statistics(cells.device)
        return pack((cells - mean) * scale)

    def latent_mask(self, mask: Tensor) -> Tensor:
        """Return the share of each cell of 8 x 8 pixels that is painted, packed: (1, 64, h, w)."""
        cells = average_mask(mask, self.stride // PATCH)
        return pack(cells.expand(-1, int(self.autoencoder.config.z_dim), -1, -1))

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return each channel's mean, and one over its deviation, since diffusers rounds so."""
        config = self.autoencoder.config
        mean = torch.tensor(config.latents_mean, device=device).view(1, -1, 1, 1)
        scale = 1.0 / torch.tensor(config.latents_std, device=device).view(1, -1, 1, 1)
        return mean, scale

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the transformer; no LoRA of this family touches the text encoder."""
        return {"transformer": self.transformer}

    def stages(self) -> dict[Stage, tuple[torch.nn.Module, ...]]:
        """Return the language model, the transformer and the autoencoder."""
        return {"text": (self.text.encoder,), "predict": (self.transformer,), "decode": (self.autoencoder,)}

    @property
    def device(self) -> torch.device:
        """The device that it paints on; offloaded weights rest on another."""
        device: torch.device = self.transformer.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the transformer."""
        return dtype_of(self.transformer)


def pack(cells: Tensor) -> Tensor:
    """Fold 2x2 cells (B, C, h, w) into tokens (B, 4 C, h/2, w/2), in QwenImagePipeline's order, channels last."""
    batch, channels, height, width = cells.shape
    folded = cells.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return folded.permute(0, 2, 4, 1, 3, 5).flatten(3).contiguous().permute(0, 3, 1, 2)


def unpack(latents: Tensor) -> Tensor:
    """Undo :func:`pack`."""
    batch, _, height, width = latents.shape
    cells = latents.reshape(batch, -1, PATCH, PATCH, height, width).permute(0, 1, 4, 2, 5, 3)
    return cells.flatten(4, 5).flatten(2, 3)


def _nearest(side: int, stride: int) -> int:
    return max(stride, round(side / stride) * stride)
