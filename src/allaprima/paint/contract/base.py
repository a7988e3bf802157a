"""What every base model offers to the samplers: text in, a prediction per step, pixels out.

A sampler knows a base only through :class:`Base`, so it never branches on a model's family: it asks the base
for a :class:`~allaprima.paint.contract.schedule.Schedule` and follows what that declares. Latents are
whatever tensor (B, C, h, w) the base's own `noise` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.layout import PaintedLayout
from allaprima.core.request import GenerationRequest
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.contract.traits import BaseTraits

Prediction = Literal["flow", "epsilon", "v"]
"""What `Base.predict` returns; "flow" is d x / d t, that is noise minus picture."""

GuidanceRule = Literal["plain", "rescaled", "embedded"]
"""How the predictions for prompt and negative prompt become one.

"plain" is classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598). "rescaled" then restores the norm of the
prompt's own prediction. With "embedded" there is one prediction only, for guidance is an input of the model, see
`TextStates.guidance`.
"""

Stage = Literal["text", "predict", "decode"]
"""What a network is for: `encode_text`, `predict`, or decoding and `encode`."""


@dataclass(frozen=True, kw_only=True)
class TextStates:
    """Encoded prompts, one row per prompt."""

    states: torch.Tensor
    """(B, L, D) float, one vector per token; those past a prompt's end are to be ignored."""
    mask: torch.Tensor
    """(B, L) bool, True where a token is part of the prompt; at least one True per row."""
    pooled: torch.Tensor | None = None
    """(B, P) float, one vector for the whole prompt, in families that have one."""
    guidance: float | None = None
    """How strongly to follow the prompts, for a base whose guidance rule is "embedded"."""
    references: tuple[torch.Tensor, ...] = ()
    """(1, C, h, w), clean latents of each picture that is looked at with all the prompts, if the base does that."""
    layout: torch.Tensor | None = None
    """(B, M, h, w), the map of what stands where, as `Base.draw_layouts` returns it; None leaves that open."""

    def __post_init__(self) -> None:
        """Refuse states, mask, pooled vectors and maps that do not belong together."""
        if self.states.ndim != 3 or self.mask.shape != self.states.shape[:2]:
            raise ValueError(
                f"got text states {tuple(self.states.shape)} with mask {tuple(self.mask.shape)}; "
                "expected (B, L, D) with (B, L)"
            )
        if self.mask.dtype != torch.bool:
            raise ValueError(f"got a text mask of {self.mask.dtype}; expected torch.bool")
        if self.pooled is not None and (self.pooled.ndim != 2 or len(self.pooled) != len(self.states)):
            raise ValueError(
                f"got pooled text {tuple(self.pooled.shape)} for {len(self.states)} prompts; expected (B, P)"
            )
        if self.layout is not None and (self.layout.ndim != 4 or len(self.layout) != len(self.states)):
            raise ValueError(
                f"got the map {tuple(self.layout.shape)} for {len(self.states)} prompts; expected (B, M, h, w)"
            )

    def __len__(self) -> int:
        """Return the number of prompts."""
        return int(self.states.shape[0])

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Each prompt's number of tokens; kept, since reading it waits for the GPU."""
        positions = torch.arange(1, self.mask.shape[1] + 1, device=self.mask.device)
        return tuple((self.mask * positions).amax(1).tolist())

    def rows(self, index: Sequence[int]) -> TextStates:
        """Return the prompts at `index`, in that order; an index may repeat."""
        chosen = torch.tensor(index, dtype=torch.long, device=self.states.device)
        pooled = None if self.pooled is None else self.pooled[chosen]
        layout = None if self.layout is None else self.layout[chosen.to(self.layout.device)]
        return replace(self, states=self.states[chosen], mask=self.mask[chosen], pooled=pooled, layout=layout)


@runtime_checkable
class Base(Protocol):
    """One loaded base model on one device, ready to paint."""

    @property
    def name(self) -> str:
        """What a `GenerationRequest.base` asks for: "vignette", or the checkpoint's name or id, never a path."""

    @property
    def family(self) -> str:
        """The architecture, as in `traits`; LoRAs are made for one."""

    @property
    def traits(self) -> BaseTraits:
        """What holds for all bases of the family."""

    @property
    def prediction(self) -> Prediction:
        """What `predict` returns."""

    @property
    def guidance_rule(self) -> GuidanceRule:
        """How the predictions for prompt and negative prompt are combined."""

    @property
    def defaults(self) -> RequestDefaults:
        """Size, steps and guidance where nobody asks for others and no schedule is named."""

    @property
    def stride(self) -> int:
        """Pixels to a latent cell, along a side."""

    @property
    def text_widths(self) -> tuple[int, int | None]:
        """The widths that `predict` reads: of `TextStates.states`, and of `pooled` or None."""

    @property
    def reads_mask(self) -> bool:
        """Whether `predict` is shown a mask and a masked picture beside the latents, for painting a part of it."""

    @property
    def has_coarse_decoder(self) -> bool:
        """Whether `decode_coarse` is quicker than `decode`, and shows less."""

    @property
    def reads_layout(self) -> bool:
        """Whether `predict` is told what stands where, see `TextStates.layout`."""

    @property
    def is_resident(self) -> bool:
        """Whether all networks stay on the device, so that a LoRA may be merged into them."""

    def check_size(self, width: int, height: int) -> None:
        """Raise RequestError unless this base paints pictures of width x height pixels."""

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return, a sentence each, what of the words of `request` it does not read, or reads in another sense."""

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        """Return the noise levels to visit for a picture of width x height pixels.

        Args:
            steps: how many predictions are to be made, at least 1.
            name: a schedule that this base knows; None for its own.

        Raises:
            RequestError: this base has no schedule of that name, or none of so many steps.
        """

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Encode `prompts`; the empty prompt is encoded like any other.

        A prompt's valid states do not depend on the prompts beside it.
        """

    def noise(self, seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        """Return (B, C, h, w) standard normal latents, row i a function of `seeds[i]` and the size alone."""

    def draw_layouts(self, layouts: Sequence[PaintedLayout], width: int, height: int) -> torch.Tensor:
        """Return the map (B, M, h, w) of `layouts`, one picture each, for a base that `reads_layout`.

        Row i is a function of `layouts[i]` and the size alone, which is of width x height pixels; a layout that says
        nothing is all zeros.
        """

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        """Return the prediction (B, C, h, w).

        Args:
            latents: (B, C, h, w) noisy latents, scaled as the schedule's kind says; (B, C + 1 + C, h, w) with the
                mask and the masked picture's latents behind them for a base that `reads_mask`.
            t: (B,) times from `Schedule.times`, in the model's unit.
            text: the B encoded prompts.
        """

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (B, 3, height, width) float pixels in [0, 1] for clean latents."""

    def decode_coarse(self, latents: torch.Tensor) -> torch.Tensor:
        """Return about what `decode` does, sooner; the very same of a base that has no coarse decoder."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the clean latents (B, C, h, w) of pixels (B, 3, height, width) in [0, 1]."""

    def sketch(self, pixels: torch.Tensor) -> torch.Tensor | None:
        """Return about what `encode` does, at once, for a first look; None where there is no quicker way."""

    def latent_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """Return how much of each latent is painted, 0 to 1, as (1, C or 1, h, w).

        Args:
            mask: (1, 1, height, width) in [0, 1], how much of each pixel is.
        """

    def modules(self) -> Mapping[str, torch.nn.Module]:
        """Return the networks a LoRA may touch, under diffusers' names.

        Those are "transformer" or "unet", and "text_encoder", "text_encoder_2" where a family has them.
        """

    def stages(self) -> Mapping[Stage, tuple[torch.nn.Module, ...]]:
        """Return every network by what it is for; each stage computes in its networks' number format."""

    def prepacked_bytes(self, *, mapped: bool) -> Mapping[Stage, int]:
        """Return the bytes of weights that painting on a CPU copies into the layout of its kernels, by stage.

        Args:
            mapped: whether the weights are used where their file is mapped, so that a copy lies beside them.
        """

    def fit_memory(self, width: int, height: int, before_move: Callable[[], object]) -> None:
        """Follow a memory plan that is good for a picture of width x height pixels.

        Args:
            before_move: called before networks move.

        Raises:
            OutOfMemoryError: no plan stays within the limit.
        """

    def use_next_plan(self, before_move: Callable[[], object]) -> bool:
        """Follow the next thriftier memory plan from now on; return False if there is none."""

    def shortage(self, width: int, height: int) -> OutOfMemoryError:
        """Return the error for a picture of width x height pixels that did not fit into memory."""


def average_mask(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """Return a mask of pixels (1, 1, height, width) as one of latent cells of `stride` pixels: their averages."""
    return torch.nn.functional.avg_pool2d(mask, stride)


def clamp_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Return `pixels` clamped to [0, 1]; infinities become NaN, since clamping would make them black or white."""
    return torch.add(pixels.clamp(0.0, 1.0), pixels, alpha=0.0)
