"""Words to begin a prompt with: what Vignette was trained to paint.

It has one style, so weather and things worn take the place of style.
"""

from __future__ import annotations

from collections.abc import Mapping

STARTERS: Mapping[str, tuple[str, ...]] = {
    "Subject": (
        "a cat", "a lion", "a fox", "a rabbit", "an owl", "a red bus", "a castle", "a sailboat", "two dogs",
        "a woman with curly hair", "an old man with a beard",
    ),
    "Place": (
        "on a rooftop", "on a beach", "in a forest", "in a city", "by a lake", "in the mountains", "in a meadow",
        "in space", "on a stage", "in a harbor",
    ),
    "Light": ("at dawn", "in daylight", "at sunset", "at night"),
    "Weather": ("under a clear sky", "in the rain", "in the snow", "in the fog"),
    "Wearing": (
        "wearing sunglasses", "wearing a top hat", "wearing a crown", "wearing a scarf", "wearing headphones",
    ),
}  # fmt: skip
"""Phrases by their kind."""
