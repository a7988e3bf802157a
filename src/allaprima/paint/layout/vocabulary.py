"""The names of what Vignette paints beside its kinds of subjects: places, hours, weather, sides, accessories."""

from __future__ import annotations

from typing import Literal, get_args

Place = Literal[
    "beach", "rooftop", "forest", "city", "desert", "mountain", "meadow", "snowfield",
    "lake", "street", "farm", "park", "space", "room", "stage", "harbor",
]  # fmt: skip
Hour = Literal["day", "dawn", "sunset", "night"]
Weather = Literal["clear", "rain", "snow", "fog"]
Side = Literal["left", "middle", "right"]
SubjectSize = Literal["small", "medium", "large"]
Framing = Literal["scene", "portrait", "anywhere"]
"""People and things on the ground, a head that fills most of the picture, or things at any height and size."""
Accessory = Literal["sunglasses", "top hat", "crown", "scarf", "party hat", "headphones", "bow tie", "flower"]
Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
