"""Places for new backgrounds, painted from words by a base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image


class Place(NamedTuple):
    """A painted place."""

    image: Image.Image
    """RGB."""
    holds_thing: bool
    """Whether a small thing may stand in it that nobody asked for; see `BaseTraits.place_prompt`."""


PlacePainter = Callable[[str, int], Place]
"""Takes the words for a place and a seed, and paints it."""


def paint_with(painter: Any, words: str, seed: int) -> Place:
    """Return the place that a `Painter` paints from words."""
    prompt = painter.base.traits.place_prompt
    return Place(painter(prompt.format(words), seed=seed).image, holds_thing=prompt != "{}")
