"""Vignette as a base: text encoder, denoiser and autoencoder behind the samplers' contract.

base = load_vignette()
text = base.encode_text(["a cat on a rooftop"])
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.layout import PaintedLayout
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.vignette.autoencoder import STRIDE, Autoencoder
from allaprima.paint.bases.vignette.denoiser import Denoiser
from allaprima.paint.bases.vignette.encoder_sketch import EncoderSketch
from allaprima.paint.bases.vignette.half_linear import HalfLinear
from allaprima.paint.bases.vignette.layout_maps import LayoutMaps
from allaprima.paint.bases.vignette.quick_decoder import QuickDecoder, prepacked_bytes
from allaprima.paint.bases.vignette.quick_denoiser import QuickDenoiser
from allaprima.paint.bases.vignette.quick_encoder import QuickEncoder, packed_encoder_bytes
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.traits import TRAITS, WEIGHTS
from allaprima.paint.bases.vignette.weights import load_autoencoder, load_denoiser
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
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.contract.traits import BaseTraits
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.guidance import needs_negative
from allaprima.paint.sampling.noise import seeded_noise

SHIFT = 2.0
"""The timestep shift it was trained for."""


@dataclass(frozen=True, kw_only=True)
class VignetteBase(ResidentBase):
    """A loaded Vignette on one device; see :class:`allaprima.paint.contract.base.Base`."""

    text: TextEncoder
    denoiser: Denoiser
    autoencoder: Autoencoder
    name: str = "vignette"
    family: str = TRAITS.family
    traits: BaseTraits = TRAITS
    prediction: Prediction = "flow"
    guidance_rule: GuidanceRule = "plain"
    defaults: RequestDefaults = TRAITS.defaults
    stride: int = STRIDE
    reads_mask: bool = False
    shift: float = SHIFT
    _maps: LayoutMaps = field(init=False, repr=False, compare=False)
    _denoiser: QuickDenoiser = field(init=False, repr=False, compare=False)
    _decoder: QuickDecoder = field(init=False, repr=False, compare=False)
    _encoder: QuickEncoder = field(init=False, repr=False, compare=False)
    _sketch: EncoderSketch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set up the quick networks, which compute some things once from the weights."""
        object.__setattr__(self, "_maps", LayoutMaps(self.text, self.denoiser))
        object.__setattr__(self, "_denoiser", QuickDenoiser(self.denoiser))
        object.__setattr__(self, "_decoder", QuickDecoder(self.autoencoder))
        object.__setattr__(self, "_encoder", QuickEncoder(self.autoencoder))
        object.__setattr__(self, "_sketch", EncoderSketch(self.encode))

    @property
    def text_widths(self) -> tuple[int, None]:
        """The denoiser's text width; there is no pooled text."""
        return self.denoiser.config.text_width, None

    def check_size(self, width: int, height: int) -> None:
        """Refuse any size but the one it was trained at."""
        known = (self.defaults.width, self.defaults.height)
        if (width, height) != known:
            raise RequestError(
                f"got size {width}x{height}; expected {known[0]}x{known[1]}, which {self.name} paints",
                field="size",
            )

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the schedule with the shift it was trained for, at any size; refuse every name."""
        del width, height
        if name is not None:
            raise RequestError(
                f"got the schedule {name[:40]!r}; expected none, for {self.name} has its own only"
            )
        return flow_schedule(flow_sigmas(steps, self.shift))

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return token states (B, L, 384); prompts beyond 48 tokens are cut."""
        return self.text.encode([without_weights(prompt) for prompt in prompts])

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return what of the words is beyond 48 tokens, or is read as letters."""
        guides = needs_negative(self, request.guidance)
        cut = (thing.kind for thing in request.layout if self.reads_layout and self.text.unread(thing.kind))
        return (
            *remarks_on_words(request, self.text.unread, guides=guides, weighs=False),
            *(f"the end of the kind {kind!r} is beyond what the base reads" for kind in dict.fromkeys(cut)),
        )

    def noise(self, seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        """Return standard normal latents (B, C, height/16, width/16), one per seed."""
        shape = (self.denoiser.config.latent_channels, height // STRIDE, width // STRIDE)
        return seeded_noise(seeds, shape, self.device)

    @property
    def reads_layout(self) -> bool:
        """Whether its denoiser was trained with maps of what stands where."""
        return self.denoiser.config.layout_channels > 0

    def draw_layouts(self, layouts: Sequence[PaintedLayout], width: int, height: int) -> torch.Tensor:
        """Return the map (B, M, height/16, width/16)."""
        return self._maps.draw(layouts, height // STRIDE, width // STRIDE).to(self.device)

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        """Return the velocity for latents (B, C, h, w) at times `t` (B,)."""
        dtype = self.dtype
        mask = None if bool(text.mask.all()) else text.mask
        return self._denoiser(latents.to(dtype), t.to(dtype), text.states.to(dtype), mask, text.layout)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        weight = next(self.autoencoder.parameters())
        return _shown(self._decoder.decode(latents.to(weight.dtype)))

    @property
    def has_coarse_decoder(self) -> bool:
        """Whether the decoder has a fine end, so that its trunk alone is quicker."""
        return self.autoencoder.detail is not None

    def decode_coarse(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the pixels (B, 3, 16 h, 16 w) in [0, 1] of the decoder's trunk alone."""
        weight = next(self.autoencoder.parameters())
        return _shown(self._decoder.decode_coarse(latents.to(weight.dtype)))

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the latents (B, C, h, w) of pixels (B, 3, 16 h, 16 w) in [0, 1]."""
        weight = next(self.autoencoder.parameters())
        signed = pixels.to(device=weight.device, dtype=weight.dtype).mul(2.0).sub(1.0)
        return self._encoder.encode(signed).float()

    def sketch(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return about the latents (B, C, h, w) of pixels (B, 3, 16 h, 16 w) in [0, 1], by a linear map."""
        return self._sketch.encode(pixels)

    def latent_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the share of each cell of 16 x 16 pixels that is painted, (1, 1, h, w)."""
        return average_mask(mask, self.stride)

    def prepacked_bytes(self, *, mapped: bool) -> dict[Stage, int]:
        """Return the bytes of the text encoder's fp16 copies, and of the autoencoder's packed ones.

        The text encoder computes in fp32 whatever the others compute in.
        """
        del mapped  # no weight is: all are stored in a narrower format
        halved = [layer for layer in self.text.modules() if isinstance(layer, HalfLinear)]
        decoder = prepacked_bytes(self.autoencoder) if self.dtype == torch.float32 else 0
        return {
            "text": sum(layer.weight.nbytes // 2 for layer in halved),
            "decode": decoder + packed_encoder_bytes(self.autoencoder),
        }

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the denoiser's transformer, whose LoRA keys are Qwen-Image's."""
        return {"transformer": self.denoiser.transformer}

    def stages(self) -> dict[Stage, tuple[torch.nn.Module, ...]]:
        """Return text encoder, denoiser and autoencoder."""
        return {"text": (self.text,), "predict": (self.denoiser,), "decode": (self.autoencoder,)}

    @property
    def device(self) -> torch.device:
        """The device that it paints on."""
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the denoiser."""
        return next(self.denoiser.parameters()).dtype


def _shown(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels of about [-1, 1] as those of a picture, in [0, 1]."""
    return clamp_pixels(pixels.float().add(1.0).mul(0.5))


def weights_folder() -> Path:
    """Return the folder of the weights that ship with the package."""
    return WEIGHTS


def load_vignette(
    folder: Path | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    *,
    absent: Collection[Stage] = (),
) -> VignetteBase:
    """Load a Vignette to paint with.

    Args:
        folder: where the weights lie; None for those that ship.

    Raises:
        WeightsError: a file is missing, cut short, of another kind, or does not go with the others.
    """
    folder = weights_folder() if folder is None else folder
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    stages: tuple[Stage, ...] = ("text", "predict", "decode")
    on = {stage: torch.device("meta") if stage in absent else device for stage in stages}
    denoiser = load_denoiser(folder / "denoiser.safetensors", on["predict"], dtype)
    autoencoder = load_autoencoder(folder / "autoencoder.safetensors", on["decode"], dtype)
    if "predict" not in absent:
        denoiser.transformer.lay_side_by_side()
    text = TextEncoder.from_file(folder / "text.safetensors").to(on["text"])
    if denoiser.config.latent_channels != autoencoder.config.latent_channels:
        raise WeightsError(
            f"the denoiser in {folder} has {denoiser.config.latent_channels} latent channels and the autoencoder "
            f"{autoencoder.config.latent_channels}; expected files of one training"
        )
    return VignetteBase(text=text, denoiser=denoiser, autoencoder=autoencoder)
