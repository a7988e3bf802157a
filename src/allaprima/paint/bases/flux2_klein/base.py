"""FLUX.2 klein as a base: Qwen3 reads, a transformer of double and single streams paints, a KL autoencoder decodes.

    base = load_flux2_klein(Path("FLUX.2-klein-4B"))
    text = base.encode_text(["a cat on a rooftop"])

Latents are packed, (B, 128, height/16, width/16): a token is 2x2 cells of 32 channels, brought to mean 0 and
deviation 1 by the running statistics of the autoencoder's batch norm. Pictures to look at stand behind the one that
is painted, each at a time of its own.
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
from allaprima.paint.bases.flux2_klein.traits import TRAITS
from allaprima.paint.bases.patch_sizes import check_patches
from allaprima.paint.bases.qwen3 import Qwen3Reader
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
from allaprima.paint.sampling.flow_schedule import FlowSettings, even_sigmas
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.paint.sampling.noise import seeded_noise

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

PATCH = 2
REFERENCE_TIME = 10
"""Where the first picture to look at stands on the axis of time, and how far each further one is from the last."""


@dataclass(frozen=True, kw_only=True)
class Flux2KleinBase(ResidentBase):
    """A loaded FLUX.2 klein on one device; see :class:`allaprima.paint.contract.base.Base`."""

    transformer: Flux2Transformer2DModel
    autoencoder: AutoencoderKLFlux2
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
        """Pixels to a token: 16."""
        return PATCH * self._cell

    @property
    def _cell(self) -> int:
        return int(2 ** (len(self.autoencoder.config.block_out_channels) - 1))

    @property
    def text_widths(self) -> tuple[int, None]:
        """The transformer's text width; there is no pooled text."""
        return int(self.transformer.config.joint_attention_dim), None

    def check_size(self, width: int, height: int) -> None:
        """Refuse sides that are not whole numbers of tokens."""
        check_patches(width, height, self.stride)

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the checkpoint's schedule, whose shift depends on the size and on the number of steps."""
        if name is not None:
            raise RequestError(
                f"got the schedule {name[:40]!r}; expected none: {self.name} has one of its own"
            )
        tokens = (width // self.stride) * (height // self.stride)
        return self.flow.follow(even_sigmas(steps), empirical_mu(tokens, steps))

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return token states (B, 512, 3 D), padding included; what of a prompt is beyond that is cut."""
        return self.text.encode([without_weights(prompt) for prompt in prompts])

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return what of the words is beyond 512 tokens, or is read as letters."""
        guides = needs_negative(self, request.guidance)
        return remarks_on_words(request, self.text.unread, guides=guides, weighs=False)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> Tensor:
        """Return the noise (B, 128, height/16, width/16) that diffusers draws for the same seeds."""
        shape = (int(self.transformer.config.in_channels), height // self.stride, width // self.stride)
        return seeded_noise(seeds, shape, self.device)

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the velocity for latents (B, 128, h, w) at times `t` (B,) in [0, 1]."""
        return velocity_of(
            self.transformer, latents.to(self.dtype), t, text.states.to(self.dtype), text.references
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        mean, deviation = self._statistics(latents.device)
        cells = unpack(latents.float() * deviation + mean).to(dtype_of(self.autoencoder))
        pixels: Tensor = self.autoencoder.decode(cells, return_dict=False)[0]
        return clamp_pixels(pixels.float().mul(0.5).add(0.5))

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the most likely latents (B, 128, h, w) of pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        device = self.autoencoder.device
        scaled = pixels.to(device=device, dtype=dtype_of(self.autoencoder)).mul(2.0).sub(1.0)
        cells: Tensor = self.autoencoder.encode(scaled, return_dict=False)[0].mode().float()
        mean, deviation = self._statistics(cells.device)
        return (pack(cells) - mean) / deviation

    def latent_mask(self, mask: Tensor) -> Tensor:
        """Return the share of each cell of 8 x 8 pixels that is painted, packed: (1, 128, h, w)."""
        cells = average_mask(mask, self._cell)
        return pack(cells.expand(-1, int(self.autoencoder.config.latent_channels), -1, -1))

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return each packed channel's mean and deviation, (1, 128, 1, 1)."""
        norm = self.autoencoder.bn
        mean, variance = (
            part.view(1, -1, 1, 1).to(device).float() for part in (norm.running_mean, norm.running_var)
        )
        return mean, torch.sqrt(variance + self.autoencoder.config.batch_norm_eps)

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


def velocity_of(
    transformer: torch.nn.Module,
    latents: Tensor,
    t: Tensor,
    states: Tensor,
    references: Sequence[Tensor] = (),
) -> Tensor:
    """Return what a transformer predicts for latents (B, C, h, w), all in its own number format but the times."""
    batch, _, height, width = latents.shape
    seen = (one.to(latents.device, latents.dtype).expand(batch, -1, -1, -1) for one in references)
    pictures = [latents, *seen]
    velocity: Tensor = transformer(
        hidden_states=torch.cat([picture.flatten(2).transpose(1, 2) for picture in pictures], dim=1),
        encoder_hidden_states=states,
        timestep=t,
        img_ids=picture_positions(pictures),
        txt_ids=_grid(0, 1, 1, states.shape[1], states.device),
        return_dict=False,
    )[0][:, : height * width]
    return velocity.transpose(1, 2).reshape(latents.shape)


def empirical_mu(tokens: int, steps: int) -> float:
    """Return how much the levels are shifted, a fit of Black Forest Labs' (`compute_empirical_mu` of diffusers).

    It is a straight line in the tokens for 10 steps, another for 200, and between them for others; the second alone
    for more than 4300 tokens.
    """
    few, many = 8.73809524e-05 * tokens + 1.89833333, 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return many
    slope = (many - few) / 190.0
    return slope * steps + (many - 200.0 * slope)


def picture_positions(pictures: Sequence[Tensor]) -> Tensor:
    """Return the places (tokens, 4) of latents (B, C, h, w): time, row, column, and 0.

    The first is painted, at time 0; the others are looked at.
    """
    return torch.cat(
        [
            _grid(REFERENCE_TIME * number, picture.shape[2], picture.shape[3], 1, picture.device)
            for number, picture in enumerate(pictures)
        ]
    )


def _grid(time: int, rows: int, columns: int, length: int, device: torch.device) -> Tensor:
    """Return the places (rows * columns * length, 4) of all tokens at one time."""
    axes = (torch.arange(size, device=device) for size in (rows, columns, length))
    return torch.cartesian_prod(torch.tensor([time], device=device), *axes)


def pack(cells: Tensor) -> Tensor:
    """Fold 2x2 cells (B, C, h, w) into tokens (B, 4 C, h/2, w/2), in Flux2KleinPipeline's order."""
    return torch.nn.functional.pixel_unshuffle(cells, PATCH)


def unpack(latents: Tensor) -> Tensor:
    """Undo :func:`pack`."""
    return torch.nn.functional.pixel_shuffle(latents, PATCH)
