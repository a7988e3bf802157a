"""What hangs in the sky: the sun or the moon, and clouds. Scenes are rendered so, and layouts completed so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from allaprima.core.layout import Box
from allaprima.paint.layout.draws import Draws
from allaprima.paint.layout.vocabulary import Hour, Weather

OrbKind = Literal["sun", "low sun", "moon"]
ORBS: Final[dict[Hour, OrbKind]] = {"day": "sun", "dawn": "low sun", "sunset": "low sun", "night": "moon"}


@dataclass(frozen=True, kw_only=True)
class Orb:
    """The sun or the moon: its middle and radius, in fractions of the picture's side."""

    kind: OrbKind
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        """What it is, high or low."""
        return self.kind.removeprefix("low ")

    @property
    def box(self) -> Box:
        """The box around it."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A cloud: the middle of its foot and its width, in fractions of the picture's side."""

    x: float
    y: float
    width: float

    @property
    def box(self) -> Box:
        """The box around it."""
        half = self.width / 2
        return Box(self.x - half, self.y - 0.33 * self.width, self.x + half, self.y + 0.14 * self.width)


def draw_orb(draws: Draws, hour: Hour, weather: Weather, horizon: float) -> Orb | None:
    """Draw where the sun or the moon stands above a horizon; clouds and fog hide the sun."""
    kind = ORBS[hour]
    x = draws.choice((draws.uniform(0.1, 0.3), draws.uniform(0.7, 0.9)))
    if weather != "clear" and kind != "moon":
        return None
    if kind == "low sun":
        return Orb(kind=kind, x=x, y=horizon - draws.uniform(0.03, 0.12), radius=0.085)
    return Orb(kind=kind, x=x, y=draws.uniform(0.1, 0.2 if kind == "sun" else 0.22), radius=0.062)


def draw_clouds(draws: Draws, weather: Weather, horizon: float) -> list[Cloud]:
    """Draw the clouds of a sky above a horizon: few on clear days, many when it rains or snows, none in fog."""
    if weather == "fog":
        return []
    heavy = weather in ("rain", "snow")
    clouds = []
    for _ in range(draws.randint(4, 6) if heavy else draws.randint(1, 3)):
        x, y = draws.random(), draws.uniform(0.04, 0.16 if heavy else horizon * 0.62)
        width = draws.uniform(0.28, 0.42) if heavy else draws.uniform(0.16, 0.28)
        clouds.append(Cloud(x=x, y=y, width=width))
    return clouds
