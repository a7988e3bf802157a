"""No black pictures: what overflows in a narrow number format is computed again in a wider one.

    base = Guarded(painter.base)        # for one picture
    prediction = base.predict(...)      # finite, or PaintError
    base.rescues                        # what had to be computed again

fp16 ends at 65504, and one infinity makes a picture of NaN, which other programs save as a black file. A guarded
base looks at what each network returns. Text, encoder and decoder are asked again in wider formats. A prediction
is made again from the latents it was made from, which are the last good ones, and all that follow are made in the
wider format too. The weights are put back bit for bit after every call, so the next picture knows nothing of it.

A dark or flat picture may be what was asked for. It is looked at twice, but it is an error only if its latents
are flat or beyond all bounds too, which no working network's are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from allaprima.core.errors import PaintError
from allaprima.core.picture import Rescues
from allaprima.paint.contract.base import Base, Stage, TextStates
from allaprima.paint.contract.wrapper import BaseWrapper
from allaprima.paint.device.offload_hooks import has_offload_hook
from allaprima.paint.device.precision import wider_dtypes
from allaprima.paint.pipeline.casting import computing_in, dtypes_of
from allaprima.paint.pipeline.pictures import require_finite

T = TypeVar("T")

BLACK_BELOW = 4 / 255
"""A picture whose brightest value is below this is black."""
CONSTANT_BELOW = 2 / 255
"""A picture in which no channel spreads wider than this is constant."""

WILD_ABOVE = 1000.0
"""Predictions and latents deviate by about 1; what deviates by more than this is no picture."""
FLAT_BELOW = 1e-4
"""Latents in which no channel deviates by more than this over the picture are no picture: sampling begins with noise
of deviation 1, of which a network that works, however flat the picture it sees, leaves a hundredth or so."""


class OverflowGuard(BaseWrapper):
    """A base whose overflows are made good; a :class:`~allaprima.paint.contract.base.Base` itself.

    One for each picture, or for pictures that are painted together, since it remembers which format they need.

    Args:
        base: what it stands for.
        rescues: what was rescued before.
        active: False leaves overflows to be refused rather than made good, as they are elsewhere.
        strict: raise PaintError for a prediction that stays bad, rather than return it; where several pictures
            share a pass, the others need not end with the one.
    """

    def __init__(
        self, base: Base, rescues: Rescues | None = None, *, active: bool = True, strict: bool = True
    ) -> None:
        super().__init__(base)
        self._active = active
        self._strict = strict
        self._networks = base.stages()
        self._wide: torch.dtype | None = None
        self._untried: tuple[torch.dtype, ...] | None = None
        self.rescues = rescues or Rescues()
        """What had to be computed again so far."""

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return the encoded prompts, all finite; PaintError if they stay bad."""
        text = self._base.encode_text(prompts)
        if self._active and not _is_finite_text(text):
            text = self._again("text", lambda: self._base.encode_text(prompts), _is_finite_text, text)
            require_finite(text.states, "encoded words")
            self.rescues = replace(self.rescues, texts=self.rescues.texts + 1)
        return text

    def predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the prediction, finite; PaintError if it stays bad and the guard is strict."""
        prediction = self._predict(latents, t, text)
        while self._active and not is_sound(prediction):
            if not self._widen():
                if self._strict:
                    require_finite(prediction, "latents")
                break
            prediction = self._predict(latents, t, text)
            self.rescues = replace(self.rescues, steps=self.rescues.steps + 1)
        return prediction

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pixels, finite; PaintError if latents or pixels stay bad."""
        return self._decoded(latents, self._base.decode)[0]

    def decode_coarse(self, latents: Tensor) -> Tensor:
        """Return the coarse pixels, finite; PaintError if latents or pixels stay bad."""
        return self._decoded(latents, self._base.decode_coarse)[0]

    def finish(self, latents: Tensor, *, coarse: bool = False) -> Tensor:
        """Return the pixels of finished pictures; PaintError if one shows nothing and its latents are degenerate."""
        pixels, blank = self._decoded(latents, self._base.decode_coarse if coarse else self._base.decode)
        if any(blank) and any(map(all, zip(blank, are_degenerate(latents), strict=True))):
            raise PaintError(
                "the picture is of one colour, and so are the numbers it was decoded from; expected at least traces "
                "of the noise it began with: the weights or a LoRA may be damaged, or a LoRA's weight too large"
            )
        return pixels

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the clean latents of a picture, finite; PaintError if they stay bad."""
        latents = self._base.encode(pixels)
        if self._active and not is_sound(latents):
            again = self._again("decode", lambda: self._base.encode(pixels), is_sound, latents)
            require_finite(again, "latents")
            if not torch.isfinite(latents).all():
                self.rescues = replace(self.rescues, decodes=self.rescues.decodes + 1)
            return again
        return latents

    def _decoded(self, latents: Tensor, decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, list[bool]]:
        """Return the pixels, and which pictures show nothing."""
        require_finite(latents, "latents")
        pixels = decode(latents)
        blank = are_blank(pixels)
        if self._active and any(blank):
            again = self._again("decode", lambda: decode(latents), _shows_something, pixels)
            still = are_blank(again)
            if still != blank or not torch.isfinite(pixels).all():
                self.rescues = replace(self.rescues, decodes=self.rescues.decodes + 1)
            pixels, blank = again, still
        if any(blank):
            require_finite(pixels, "pixels")
        return pixels, blank

    def _predict(self, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        if self._wide is None:
            return self._base.predict(latents, t, text)
        # For each call anew: between two steps another picture may be painted, with other LoRAs on.
        with computing_in(self._networks["predict"], self._wide):
            return self._base.predict(latents, t, text)

    def _widen(self) -> bool:
        """Have predictions made in the next wider format from here on; False if there is none."""
        if self._untried is None:
            self._untried = self._wider("predict")
        if not self._untried:
            return False
        self._wide, *rest = self._untried
        self._untried = tuple(rest)
        return True

    def _again(self, stage: Stage, action: Callable[[], T], is_good: Callable[[T], bool], last: T) -> T:
        """Return what `action` returns in the first wider format in which it is good, or in the widest."""
        for dtype in self._wider(stage):
            with computing_in(self._networks[stage], dtype):
                last = action()
            if is_good(last):
                break
        return last

    def _wider(self, stage: Stage) -> tuple[torch.dtype, ...]:
        networks = self._networks.get(stage, ())
        modules = [module for network in networks for module in network.modules()]
        weights = [weight for network in networks for weight in network.parameters()]
        # What an offloading library holds elsewhere, or puts back by itself, cannot be cast here.
        offloaded = any(weight.is_meta for weight in weights) or any(map(has_offload_hook, modules))
        if not weights or offloaded:
            return ()
        return wider_dtypes(dtypes_of(networks), weights[0].device)


def is_sound(values: Tensor) -> bool:
    """Return whether every row (B, C, h, w) is finite, neither constant nor wild.

    One reduction and one look at its B numbers: a deviation that is a number is one of finite values.
    """
    deviations = values.std(dim=tuple(range(1, values.ndim)), correction=0)
    return all(0.0 < deviation < WILD_ABOVE for deviation in deviations.tolist())


def are_blank(pixels: Tensor) -> list[bool]:
    """Return for each picture (B, 3, height, width) in [0, 1] whether it is black, constant or not finite."""
    if math.isfinite(pixels.sum(dtype=torch.float32).item()) and not any(_look_blank(pixels[..., ::8, ::8])):
        return [False] * len(pixels)  # what is seen in every eighth row and column is there
    return _look_blank(pixels)


def _look_blank(pixels: Tensor) -> list[bool]:
    low, high = pixels.flatten(2).aminmax(dim=2)
    blank = []
    for lows, highs in zip(*torch.stack([low, high]).tolist(), strict=True):
        spread = max(high - low for low, high in zip(lows, highs, strict=True))
        finite = all(map(math.isfinite, (*lows, *highs)))
        blank.append(not finite or max(highs) < BLACK_BELOW or spread < CONSTANT_BELOW)
    return blank


def are_degenerate(latents: Tensor) -> list[bool]:
    """Return for each of the clean latents (B, C, h, w) whether they are flat, or beyond all bounds."""
    deviations = latents.flatten(2).std(dim=2, correction=0).amax(dim=1).tolist()
    norms = torch.linalg.vector_norm(latents.flatten(1), dim=1) / latents[0].numel() ** 0.5
    return [
        not deviation > FLAT_BELOW or not norm < WILD_ABOVE
        for deviation, norm in zip(deviations, norms.tolist(), strict=True)
    ]


def _is_finite_text(text: TextStates) -> bool:
    total = text.states.sum(dtype=torch.float32)
    if text.pooled is not None:
        total = total + text.pooled.sum(dtype=torch.float32)
    return bool(torch.isfinite(total))


def _shows_something(pixels: Tensor) -> bool:
    return not any(are_blank(pixels))
