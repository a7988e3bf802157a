"""What stands behind the subjects and below them: a rendered place, and what hangs in its sky."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, get_args

from allaprima.core.layout import Layout, LayoutLayer, Thing
from allaprima.paint.layout.company import distance, kind_named
from allaprima.paint.layout.draws import SeededDraws
from allaprima.paint.layout.reading import Asked
from allaprima.paint.layout.renders import PLACES, Background, Renders
from allaprima.paint.layout.sky import draw_clouds, draw_orb
from allaprima.paint.layout.vocabulary import Hour, Weather

HOURS: Final[tuple[Hour, ...]] = get_args(Hour)
_WEATHERS: Final[tuple[Weather, ...]] = get_args(Weather)
_UNSAID_CLEAR: Final = 0.88
"""How often the weather is clear where a caption does not tell it: people mention rain and rarely its absence."""


def surround(asked: Asked, given: Layout, seed: int, renders: Renders) -> list[Thing]:
    """Return what is behind and below, from back to front; what is given stands in for what would be drawn there.

    The place, the hour and the weather that a prompt leaves open are drawn from the seed, as scenes are.
    """
    drawn_place = SeededDraws(seed, "place").choice(PLACES)
    backgrounds = renders.backgrounds[asked.place or drawn_place]
    drawn = backgrounds[int(SeededDraws(seed, "background").random() * len(backgrounds))]
    things = _with_sky(drawn, asked, seed)
    for layer in ("ground", "behind"):
        things = _stand_in(things, [thing for thing in given if thing.layer == layer], layer)
    return things


def _with_sky(background: Background, asked: Asked, seed: int) -> list[Thing]:
    """Return the things of a background with sun or moon and clouds before its sky."""
    things, horizon = list(background.things), background.horizon
    if horizon is None:
        return things
    drawn_hour = SeededDraws(seed, "hour").choice(HOURS)
    hour = asked.hour or drawn_hour
    weather = asked.weather or _unsaid_weather(seed)
    orb = draw_orb(SeededDraws(seed, "orb"), hour, weather, horizon)
    clouds = draw_clouds(SeededDraws(seed, "clouds"), weather, horizon) if background.clouded else []
    hung = [Thing(kind=orb.name, box=orb.box, layer="behind")] if orb is not None else []
    hung += [Thing(kind="cloud", box=cloud.box, layer="behind") for cloud in clouds]
    at = next(index for index, thing in enumerate(things) if thing.kind == "sky") + 1
    return [*things[:at], *hung, *things[at:]]


def _unsaid_weather(seed: int) -> Weather:
    draws = SeededDraws(seed, "weather")
    return "clear" if draws.random() < _UNSAID_CLEAR else draws.choice(_WEATHERS[1:])


def _stand_in(things: list[Thing], given: Sequence[Thing], layer: LayoutLayer) -> list[Thing]:
    """Put each given thing of a layer in the place of the nearest one of its kind, or before all others."""
    places: list[int] = []
    for thing in given:
        like = [
            index
            for index, drawn in enumerate(things)
            if index not in places and drawn.layer == layer and _name_of(drawn.kind) == _name_of(thing.kind)
        ]
        if like:
            places.append(min(like, key=lambda index: distance(things[index].box, thing.box)))
        else:
            things = [*things, thing]
            places.append(len(things) - 1)
    things = list(things)
    # In the order in which they are given, which says who covers whom.
    for index, thing in zip(sorted(places), given, strict=True):
        things[index] = thing
    return things


_CHINESE: Final = {
    "太阳": "sun", "月亮": "moon", "云": "cloud", "云朵": "cloud", "山": "mountain", "高楼": "tower",
    "烟囱": "chimney", "灯塔": "lighthouse", "谷仓": "barn", "长椅": "bench", "路灯": "lamp", "窗户": "window",
    "窗帘": "curtain", "天空": "sky", "水": "water", "沙滩": "sand", "地面": "ground", "地板": "floor", "墙": "wall",
}  # fmt: skip
"""What stands behind and below and is no subject, by its Chinese name."""


@lru_cache(maxsize=256)
def _name_of(kind: str) -> str:
    """Return one name for things that are the same: a pine is an evergreen tree."""
    plain = kind.strip().lower()
    return kind_named(_CHINESE.get(plain, plain))
