"""Real implementations of our contracts, small enough that the right answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from allaprima.core.errors import RequestError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.vignette.traits import TRAITS
from allaprima.paint.contract.base import GuidanceRule, Prediction, Stage, TextStates, average_mask
from allaprima.paint.contract.resident import ResidentBase
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.contract.traits import BaseTraits
from allaprima.paint.sampling.noise import seeded_noise


@dataclass
class SteadyBase(ResidentBase):
    """A base whose velocity is minus a colour the prompt names, whatever the latents and the time.

    Any number of Euler steps therefore ends exactly at noise plus colour, and guidance moves the colour in a
    straight line. Latents are an eighth of the picture's size; decoding enlarges them.
    """

    name: str = "vignette"
    family: str = TRAITS.family
    traits: BaseTraits = TRAITS
    prediction: Prediction = "flow"
    guidance_rule: GuidanceRule = "plain"
    defaults: RequestDefaults = TRAITS.defaults
    stride: int = 8
    reads_mask: bool = False
    text_widths: tuple[int, None] = (3, None)
    shift: float = 3.0
    encoded: list[list[str]] = field(default_factory=list)
    """The prompts of every `encode_text` call."""
    passes: list[int] = field(default_factory=list)
    """The rows of every `predict` call."""
    broken_after: int | None = None
    """After so many passes predictions are infinite, as damaged weights would make them."""

    def check_size(self, width: int, height: int) -> None:
        if (width, height) not in ((256, 256), (128, 64)):
            raise RequestError(f"got size {width}x{height}; expected 256x256 or 128x64", field="size")

    def schedule(self, steps: int, width: int, height: int, name: str | None = None) -> Schedule:
        del width, height
        if name not in (None, "even"):
            raise RequestError(f"got the schedule {name!r}; expected even")
        return flow_schedule(flow_sigmas(steps, 1.0 if name == "even" else self.shift))

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        self.encoded.append(list(prompts))
        longest = max(len(prompt) for prompt in prompts) + 1
        states = torch.zeros(len(prompts), longest, 3)
        mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            mask[row, : len(prompt) + 1] = True
            states[row, : len(prompt) + 1] = colour_of(prompt)
        return TextStates(states=states, mask=mask)

    def noise(self, seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        return seeded_noise(seeds, (3, height // 8, width // 8))

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        assert t.shape == (len(latents),)
        assert len(text) == len(latents)
        self.passes.append(len(latents))
        colours = (text.states * text.mask[..., None]).sum(1) / text.mask.sum(1, keepdim=True)
        velocity = -colours[:, :, None, None].expand_as(latents)
        broken = self.broken_after is not None and len(self.passes) > self.broken_after
        return velocity * torch.inf if broken else velocity

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        pixels = (0.5 + latents / 8).clamp(0, 1)
        return torch.nn.functional.interpolate(pixels, scale_factor=8)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return 8 * (torch.nn.functional.avg_pool2d(pixels, 8) - 0.5)

    def latent_mask(self, mask: torch.Tensor) -> torch.Tensor:
        return average_mask(mask, 8)

    def modules(self) -> dict[str, torch.nn.Module]:
        return {}

    def stages(self) -> dict[Stage, tuple[torch.nn.Module, ...]]:
        return {}


def colour_of(prompt: str) -> torch.Tensor:
    """Return the three numbers the SteadyBase means by a prompt; the empty prompt is zero."""
    first = ord(prompt[0]) if prompt else 0
    return torch.tensor([first % 5, first % 3, -(first % 7)], dtype=torch.float32) / 4
