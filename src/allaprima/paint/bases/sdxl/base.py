"""SDXL as a base: two text encoders, a UNet and an autoencoder behind the samplers' contract.

base = load_sdxl(Path("models/checkpoints/sd_xl_base_1.0.safetensors"))
text = base.encode_text(["a cat on a rooftop"])
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from allaprima.core.base_names import shown_name
from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.request import MAX_SIDE_PX, GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.config_values import check_latent_statistics, read_positive, read_whole
from allaprima.paint.bases.dtypes import dtype_of
from allaprima.paint.bases.sdxl.conditioning import SIZE_IDS, guidance_embedding, padding_mask, size_ids
from allaprima.paint.bases.sdxl.distilled import Distilled, find_distilled
from allaprima.paint.bases.sdxl.folder import load_folder
from allaprima.paint.bases.sdxl.parts import INPAINT_CHANNELS, LATENT_CHANNELS, Parts
from allaprima.paint.bases.sdxl.published import PUBLISHED, Shapes
from allaprima.paint.bases.sdxl.scheduling import Scheduler, read_scheduler
from allaprima.paint.bases.sdxl.single_file import load_file
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.bases.sdxl.traits import TRAITS
from allaprima.paint.bases.word_remarks import remarks_on_words
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
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.paint.sampling.noise import seeded_noise


@dataclass(frozen=True, kw_only=True)
class SdxlBase(ResidentBase):
    """A loaded SDXL on one device; see :class:`allaprima.paint.contract.base.Base`."""

    text: SdxlText
    unet: UNet2DConditionModel
    autoencoder: AutoencoderKL
    scheduler: Scheduler
    name: str
    family: str = TRAITS.family
    traits: BaseTraits = TRAITS
    distilled: Distilled | None = None
    """What a single file is, if its name tells that it paints in few steps."""

    @property
    def prediction(self) -> Prediction:
        """What the UNet predicts: noise, or v in some checkpoints."""
        return self.scheduler.prediction

    @property
    def guidance_rule(self) -> GuidanceRule:
        """Embedded where the UNet takes the guidance as an input, as LCM's does."""
        return "plain" if self.unet.config.time_cond_proj_dim is None else "embedded"

    @property
    def defaults(self) -> RequestDefaults:
        """One step and no guidance for Turbo, four steps for LCM, thirty for the others."""
        side = int(self.unet.config.sample_size) * self.stride
        if self.distilled is not None:
            return RequestDefaults(width=side, height=side, steps=self.distilled.steps, guidance=1.0)
        habits = self.scheduler.habits
        if habits is None:
            return replace(TRAITS.defaults, width=side, height=side)
        if (habits.sampler, habits.spacing) == ("ancestral", "trailing"):
            return RequestDefaults(width=side, height=side, steps=1, guidance=1.0)
        if habits.sampler == "lcm":
            guidance = 1.0 if self.guidance_rule == "plain" else 8.0
            return RequestDefaults(width=side, height=side, steps=4, guidance=guidance)
        return replace(TRAITS.defaults, width=side, height=side)

    @property
    def stride(self) -> int:
        """Pixels to a latent cell, along a side."""
        return int(2 ** (len(self.autoencoder.config.block_out_channels) - 1))

    @property
    def reads_mask(self) -> bool:
        """Whether the UNet has channels for a mask and a masked picture, as inpainting checkpoints do."""
        return bool(self.unet.config.in_channels == INPAINT_CHANNELS)

    @property
    def _latent_channels(self) -> int:
        return int(self.autoencoder.config.latent_channels)

    @property
    def text_widths(self) -> tuple[int, int]:
        """The UNet's text width, and that of the pooled text beside the sizes."""
        config = self.unet.config
        pooled = config.projection_class_embeddings_input_dim - SIZE_IDS * config.addition_time_embed_dim
        return int(config.cross_attention_dim), int(pooled)

    def check_size(self, width: int, height: int) -> None:
        """Refuse sides that are no multiple of the stride, 8."""
        if width % self.stride or height % self.stride:
            near = tuple(
                max(self.stride, round(side / self.stride) * self.stride) for side in (width, height)
            )
            raise RequestError(
                f"got size {width}x{height}; expected multiples of {self.stride}, such as {near[0]}x{near[1]}",
                field="size",
            )

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the checkpoint's own schedule, or one of `scheduling.SCHEDULES`; the size does not matter."""
        del width, height
        return self.scheduler.schedule(steps, name)

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return token states (B, L, 2048) and pooled (B, 1280); L is 77 for each 75 tokens of the longest prompt."""
        return self.text.encode(prompts)

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return what of the words is beyond 2,400 tokens or read as letters, and what the file is not made for."""
        guides = needs_negative(self, request.guidance)
        words = remarks_on_words(request, self.text.unread, guides=guides, weighs=True)
        return (*words, *(() if self.distilled is None else self.distilled.remarks(request)))

    def noise(self, seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        """Return standard normal latents (B, 4, height/8, width/8), one per seed."""
        shape = (self._latent_channels, height // self.stride, width // self.stride)
        return seeded_noise(seeds, shape, self.device)

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        """Return the noise or v in latents (B, 4, h, w) of variance 1 at times `t` (B,) from 0 to 999.

        With 9 channels the mask and the masked picture's latents come behind them.
        """
        dtype, rows, (height, width) = self.dtype, len(latents), latents.shape[2:]
        assert text.pooled is not None
        sizes = size_ids(rows, width * self.stride, height * self.stride, latents.device)
        prediction: torch.Tensor = self.unet(
            latents.to(dtype),
            t,
            encoder_hidden_states=text.states.to(dtype),
            encoder_attention_mask=padding_mask(text),
            timestep_cond=self._guidance_input(text, latents),
            added_cond_kwargs={"text_embeds": text.pooled.to(dtype), "time_ids": sizes},
            return_dict=False,
        )[0]
        return prediction

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pixels (B, 3, 8 h, 8 w) in [0, 1]."""
        mean, deviation = self._latent_scale()
        scaled = latents.float() * deviation + mean
        pixels = self.autoencoder.decode(scaled.to(dtype_of(self.autoencoder)), return_dict=False)[0]
        return clamp_pixels(pixels.float().mul(0.5).add(0.5))

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the most likely latents (B, 4, h, w) of pixels (B, 3, 8 h, 8 w) in [0, 1]."""
        autoencoder = self.autoencoder
        signed = pixels.to(device=autoencoder.device, dtype=dtype_of(autoencoder)).mul(2.0).sub(1.0)
        mean, deviation = self._latent_scale()
        latents: torch.Tensor = autoencoder.encode(signed).latent_dist.mode().float()
        return (latents - mean) / deviation

    def latent_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the share of each cell of 8 x 8 pixels that is painted, (1, 1, h, w)."""
        return average_mask(mask, self.stride)

    def prepacked_bytes(self, *, mapped: bool) -> dict[Stage, int]:
        """Return the bytes of the UNet's convolutions if they are mapped, for they are copied to channels last."""
        convolutions = (weight.nbytes for weight in self.unet.parameters() if weight.ndim == 4)
        return {"predict": sum(convolutions)} if mapped else {}

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the UNet and the two text encoders."""
        first, second = self.text.encoders
        return {"unet": self.unet, "text_encoder": first, "text_encoder_2": second}

    def stages(self) -> dict[Stage, tuple[torch.nn.Module, ...]]:
        """Return the text encoders, the UNet and the autoencoder."""
        return {"text": self.text.encoders, "predict": (self.unet,), "decode": (self.autoencoder,)}

    @property
    def device(self) -> torch.device:
        """The device that it paints on."""
        device: torch.device = self.unet.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the UNet."""
        return dtype_of(self.unet)

    def _guidance_input(self, text: TextStates, latents: torch.Tensor) -> torch.Tensor | None:
        width = self.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scale = 1.0 if text.guidance is None else text.guidance
        return guidance_embedding(scale, len(latents), int(width), latents.device).to(self.dtype)

    def _latent_scale(self) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        """Return the mean and deviation that turn a sampler's latents into the autoencoder's."""
        config = self.autoencoder.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is None or deviation is None:
            return 0.0, 1.0 / config.scaling_factor
        device = self.autoencoder.device
        mean, deviation = (torch.tensor(row, device=device).view(1, -1, 1, 1) for row in (mean, deviation))
        return mean, deviation / config.scaling_factor


def load_sdxl(
    path: Path,
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    shapes: Shapes = PUBLISHED,
    vae: Path | None = None,
    absent: Collection[Stage] = (),
) -> SdxlBase:
    """Load an SDXL checkpoint from a diffusers folder or a single `.safetensors`; nothing is ever downloaded.

    Args:
        shapes: what the parts of a single file look like; a folder says so itself.
        vae: the file of the autoencoder for a single file, in place of its own; None for its own.

    Raises:
        WeightsError: a part is missing, damaged, a pickle, or of another kind of model.
    """
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    load = load_folder if path.is_dir() else partial(load_file, vae=vae)
    parts = load(path, shapes, dtype, absent)
    distilled = None if path.is_dir() else find_distilled(path.stem)
    scheduler = parts.scheduler if distilled is None else {**parts.scheduler, **distilled.scheduler}
    _check_numbers(path, parts)
    _check_together(path, parts)
    networks: dict[Stage, tuple[torch.nn.Module, ...]] = {
        "predict": (parts.unet,), "decode": (parts.autoencoder,), "text": parts.text.encoders,
    }  # fmt: skip
    for network in (network for stage in networks.keys() - set(absent) for network in networks[stage]):
        network.to(device)
    if device.type == "cpu":
        # Convolutions on the CPU want their channels together, and the UNet's attention needs no transposing then: a
        # step took 0.9 of the time. The autoencoder, all convolutions of large pictures, gained nothing.
        parts.unet.to(memory_format=torch.channels_last)
    return SdxlBase(
        text=parts.text,
        unet=parts.unet,
        autoencoder=parts.autoencoder,
        scheduler=read_scheduler(scheduler),
        distilled=distilled,
        name=shown_name(str(path)) if name is None else name,
    )


def _check_numbers(path: Path, parts: Parts) -> None:
    """Refuse bad numbers in configurations that no network is built from, so that nothing else checks them."""
    unet, autoencoder = parts.unet.config, parts.autoencoder.config
    mean, deviation = autoencoder.get("latents_mean"), autoencoder.get("latents_std")
    try:
        read_whole("sample_size", unet.sample_size, MAX_SIDE_PX // 8)
        widest = unet.projection_class_embeddings_input_dim
        read_whole("addition_time_embed_dim", unet.addition_time_embed_dim, widest)
        read_positive("scaling_factor", autoencoder.scaling_factor)
        if mean is not None and deviation is not None:
            check_latent_statistics(mean, deviation, autoencoder.latent_channels)
    except ValueError as error:
        raise WeightsError(f"the configurations in {path} cannot be followed: {error}") from error


def _check_together(path: Path, parts: Parts) -> None:
    unet, (first, second) = parts.unet.config, parts.text.encoders
    latents = LATENT_CHANNELS if unet.in_channels == INPAINT_CHANNELS else unet.in_channels
    for what, reads, written in (
        ("text", unet.cross_attention_dim, first.config.hidden_size + second.config.hidden_size),
        (
            "sizes and pooled text",
            unet.projection_class_embeddings_input_dim,
            SIZE_IDS * unet.addition_time_embed_dim + second.config.projection_dim,
        ),
        ("latents", latents, parts.autoencoder.config.latent_channels),
    ):
        if reads != written:
            raise WeightsError(
                f"the UNet in {path} reads {what} {reads} wide and the other parts give {written}; "
                "expected parts of one SDXL"
            )
