"""Z-Image as a base: Qwen3 reads, a transformer of one stream paints, a KL autoencoder decodes.

    base = load_z_image(Path("Z-Image-Turbo"))
    text = base.encode_text(["a cat on a rooftop"])

Latents are (B, 16, height/8, width/8); the transformer cuts them into patches of 2x2 itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.dtypes import dtype_of
from allaprima.paint.bases.patch_sizes import check_patches
from allaprima.paint.bases.qwen3 import Qwen3Reader
from allaprima.paint.bases.word_remarks import remarks_on_words, without_weights
from allaprima.paint.bases.z_image.traits import TRAITS
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
from allaprima.paint.sampling.flow_schedule import FlowSettings
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.paint.sampling.noise import seeded_noise

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, ZImageTransformer2DModel

PATCH = 2
PORTION = 32
"""The transformer pads the tokens of a prompt to a multiple of this."""
_TRAINED_TIMES = 1000


@dataclass(frozen=True, kw_only=True)
class ZImageBase(ResidentBase):
    """A loaded Z-Image on one device; see :class:`allaprima.paint.contract.base.Base`."""

    transformer: ZImageTransformer2DModel
    autoencoder: AutoencoderKL
    text: Qwen3Reader
    name: str
    flow: FlowSettings = field(default_factory=FlowSettings)
    """The settings in the checkpoint's scheduler_config.json."""
    defaults: RequestDefaults = TRAITS.defaults
    family: str = TRAITS.family
    traits: BaseTraits = TRAITS
    prediction: Prediction = "flow"
    guidance_rule: GuidanceRule = "plain"
    reads_mask: bool = False

    @property
    def stride(self) -> int:
        """Pixels to a cell: 8."""
        return int(2 ** (len(self.autoencoder.config.block_out_channels) - 1))

    @property
    def text_widths(self) -> tuple[int, None]:
        """The transformer's text width; there is no pooled text."""
        return int(self.transformer.config.cap_feat_dim), None

    def check_size(self, width: int, height: int) -> None:
        """Refuse sides that are not whole numbers of patches."""
        check_patches(width, height, PATCH * self.stride)

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the checkpoint's schedule: shifted alike at every size, or by the size where it says so."""
        if name is not None:
            raise RequestError(
                f"got the schedule {name[:40]!r}; expected none: {self.name} has one of its own"
            )
        patch = PATCH * self.stride
        mu = self.flow.strength((width // patch) * (height // patch))
        # By torch, as in ZImagePipeline: NumPy's even levels are sometimes a rounding away.
        levels = torch.linspace(1.0, 1 / steps, steps).numpy()
        schedule = self.flow.follow(levels, mu)
        return replace(schedule, times=schedule.sigmas[:-1])

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return token states (B, L, 2560); what of a prompt is beyond 512 tokens is cut."""
        return self.text.encode([without_weights(prompt) for prompt in prompts])

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return what of the words is beyond 512 tokens, or is read as letters."""
        guides = needs_negative(self, request.guidance)
        return remarks_on_words(request, self.text.unread, guides=guides, weighs=False)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """Return the noise (B, 16, height/8, width/8) that diffusers draws for the same seeds."""
        shape = (int(self.transformer.config.in_channels), height // self.stride, width // self.stride)
        return seeded_noise(seeds, shape, self.device)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for latents (B, 16, h, w) at times `t` (B,) in [0, 1].

        Prompts whose padded lengths differ go through the model one length after the other: padding them further
        would cost more than it saves, and change their last bits.
        """
        velocity = torch.empty_like(latents)
        for rows in rows_by_length(text):
            some = replace(text.rows(rows), states=text.states[rows].to(self.dtype))
            found = velocity_of(self.transformer, latents[rows].to(self.dtype), t[rows], some)
            velocity[rows] = found.to(velocity.dtype)
        return velocity

    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels (B, 3, 8 h, 8 w) in [0, 1]."""
        config = self.autoencoder.config
        cells = latents.to(dtype_of(self.autoencoder)) / config.scaling_factor + config.shift_factor
        pixels: Tensor = self.autoencoder.decode(cells, return_dict=False)[0]
        return clamp_pixels(pixels.float().mul(0.5).add(0.5))

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the most likely latents (B, 16, h, w) of pixels (B, 3, 8 h, 8 w) in [0, 1]."""
        config = self.autoencoder.config
        scaled = pixels.to(device=self.autoencoder.device, dtype=dtype_of(self.autoencoder)).mul(2.0).sub(1.0)
        cells: Tensor = self.autoencoder.encode(scaled, return_dict=False)[0].mode().float()
        clean: Tensor = (cells - config.shift_factor) * config.scaling_factor
        return clean

    def latent_mask(self, mask: Tensor) -> Tensor:
        """Return the share of each cell of 8 x 8 pixels that is painted: (1, 1, h, w)."""
        return average_mask(mask, self.stride)

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


def rows_by_length(text: TextStates) -> list[list[int]]:
    """Return the numbers of the prompts, those that the transformer pads to one length together."""
    groups: dict[int, list[int]] = {}
    for row, length in enumerate(text.lengths):
        groups.setdefault(-(-length // PORTION), []).append(row)
    return list(groups.values())


def velocity_of(transformer: torch.nn.Module, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
    """Return what a transformer predicts for latents (B, C, h, w), in float32.

    Args:
        transformer: a `ZImageTransformer2DModel`.
        latents: in its own number format.
        t: (B,) times in [0, 1].
        text: prompts of one padded length, in its own number format.
    """
    # The model counts from noise to picture, and answers with the way there.
    model_time = (_TRAINED_TIMES - t * _TRAINED_TIMES) / _TRAINED_TIMES
    states = [row[:length] for row, length in zip(text.states, text.lengths, strict=True)]
    frames = transformer(list(latents[:, :, None]), model_time, states, return_dict=False)[0]
    velocity: Tensor = -torch.stack(frames)[:, :, 0].float()
    return velocity
