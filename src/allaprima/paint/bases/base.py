"""What every base model offers to the samplers: text in, a prediction per step, pixels out.

A sampler knows a base only through :class:`Base`, so it never branches on a model's family. Times run from
1.0 (pure noise) to 0.0 (the picture), and latents are whatever tensor the base's own `noise` hands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch

Prediction = Literal["flow", "epsilon", "v"]
"""What `Base.predict` returns: flow is d x / d t, that is noise minus picture."""


@dataclass(frozen=True, kw_only=True)
class TextStates:
    """Encoded prompts, one row per prompt.

    Attributes:
        states: (B, L, D) float, one vector per token; rows past a prompt's end are to be ignored.
        mask: (B, L) bool, True where a token is part of the prompt; at least one True per row.
    """

    states: torch.Tensor
    mask: torch.Tensor

    def __post_init__(self) -> None:
        """Refuse states and mask that do not belong together."""
        if self.states.ndim != 3 or self.mask.shape != self.states.shape[:2]:
            raise ValueError(
                f"got text states {tuple(self.states.shape)} with mask {tuple(self.mask.shape)}; "
                "expected (B, L, D) with (B, L)"
            )
        if self.mask.dtype != torch.bool:
            raise ValueError(f"got a text mask of {self.mask.dtype}; expected torch.bool")

    def __len__(self) -> int:
        """Return the number of prompts."""
        return int(self.states.shape[0])

    def rows(self, index: Sequence[int]) -> TextStates:
        """Return the prompts at `index`, in that order; an index may repeat."""
        chosen = torch.tensor(index, dtype=torch.long, device=self.states.device)
        return TextStates(states=self.states[chosen], mask=self.mask[chosen])


@runtime_checkable
class Base(Protocol):
    """One loaded base model on one device, ready to paint."""

    @property
    def name(self) -> str:
        """The name a `GenerationRequest.base` asks for, such as "vignette"."""

    @property
    def prediction(self) -> Prediction:
        """What `predict` returns."""

    @property
    def shift(self) -> float:
        """The timestep shift this base was trained for; 1.0 spaces the steps evenly."""

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) pairs in pixels that this base can paint, its favourite first."""

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Encode `prompts`; the empty prompt is encoded like any other.

        A prompt's valid states do not depend on the prompts beside it.
        """

    def noise(self, seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        """Return (B, C, h, w) standard normal latents, row i a function of `seeds[i]` and the size alone."""

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        """Return the prediction, shaped like `latents`.

        Args:
            latents: (B, C, h, w) noisy latents.
            t: (B,) times in [0, 1], 1 being pure noise.
            text: the B encoded prompts.
        """

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (B, 3, height, width) float pixels in [0, 1] for clean latents."""
