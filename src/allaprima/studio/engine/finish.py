"""How far live pictures are finished: a first look at once, then finer ones while the prompt rests. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.messages import LiveSettings


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How far a frame is finished."""

    steps: int
    """Steps of the sampler."""
    coarse: bool | None = None
    """Whether the base's coarse decoder made the pixels; None for a base that has one decoder."""

    @classmethod
    def first(cls, *, has_coarse_decoder: bool) -> Finish:
        """Return that of the first frame for a prompt: whoever types sees many of them, and each for a moment."""
        return cls(steps=1, coarse=True if has_coarse_decoder else None)

    def next(self, settings: LiveSettings) -> Finish | None:
        """Return that of the frame after this one; None if this is what `settings` ask for.

        Steps go up to 2, 4 and at last to those of the settings; only then does high quality take the fine decoder,
        if need be for the same steps once more.
        """
        fine = settings.quality == "high"
        if self.steps < settings.steps:
            steps = min(1 << self.steps.bit_length(), settings.steps)
            coarse = None if self.coarse is None else steps < settings.steps or not fine
            return Finish(steps=steps, coarse=coarse)
        return Finish(steps=self.steps, coarse=False) if self.coarse and fine else None

    def is_beyond(self, settings: LiveSettings) -> bool:
        """Return whether it is finer than `settings` ask for."""
        return self.steps > settings.steps or (self.coarse is False and settings.quality == "medium")

    def request(self, settings: LiveSettings, prompt: str) -> GenerationRequest:
        """Return the request that paints a frame of `prompt` again."""
        asked = settings.request(prompt, self.steps)
        return replace(asked, quality="medium") if self.coarse else asked
