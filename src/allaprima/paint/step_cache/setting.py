"""What `--cache` says, as plain data: known without torch.

setting = StepCacheSetting.parse("first-block:0.1")
"""

from __future__ import annotations

from dataclasses import dataclass

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.traits import BaseTraits

MIN_STEPS = 9
"""Fewer steps differ so much from each other that there is nothing to reuse; they are computed in full."""
METHOD = "first-block"
MAX_CHARS = 40


@dataclass(frozen=True, kw_only=True)
class StepCacheSetting:
    """First-block caching and how much a step may differ from the one that is reused."""

    threshold: float = 0.05
    """The relative change of what the first block adds, 0 to 1, up to which the other blocks are skipped. The default
    is diffusers'."""

    def __post_init__(self) -> None:
        """Refuse a threshold out of range."""
        if not 0.0 <= self.threshold <= 1.0:
            raise RequestError(f"got --cache with a threshold of {self.threshold:g}; expected 0 to 1")

    @classmethod
    def parse(cls, text: str) -> StepCacheSetting:
        """Return what `first-block` or `first-block:THRESHOLD` means; RequestError for anything else."""
        method, colon, number = text.partition(":")
        try:
            threshold = float(number) if colon else cls.threshold
        except ValueError:
            method = ""
        if method != METHOD:
            raise RequestError(
                f"got --cache {text[:MAX_CHARS]!r}; expected {METHOD}, or {METHOD}:THRESHOLD such as {METHOD}:0.1"
            )
        return cls(threshold=threshold)

    def check(self, name: str, traits: BaseTraits) -> None:
        """Refuse a base, called `name`, whose blocks cannot be skipped; RequestError."""
        if traits.skippable_blocks is None:
            raise RequestError(
                f"got --cache {METHOD} for {name[-200:]!r}, a base of the family {traits.family}, whose blocks it "
                "cannot skip; expected a Qwen-Image, a FLUX.2 klein or a Z-Image, or no --cache"
            )

    def remarks(self, request: GenerationRequest) -> tuple[str, ...]:
        """Return why the picture of `request` is painted without the cache, as a sentence; nothing if it is not."""
        if request.steps >= MIN_STEPS:
            return ()
        steps = f"{request.steps} step{'s' if request.steps > 1 else ''}"
        return (
            f"the step cache is not used for {steps}, which differ too much; it is used from {MIN_STEPS} steps on",
        )

    def __str__(self) -> str:
        return f"{METHOD} {self.threshold:g}"
