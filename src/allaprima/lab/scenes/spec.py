"""The plain description of one training scene: what is painted, before any pixel exists.

A :class:`Scene` is everything that captions, the renderer and the judge agree on. It is drawn from a
seed by :func:`allaprima.lab.scenes.draw.draw_scene`, rendered by :mod:`allaprima.lab.scenes.render` and
put into words by :mod:`allaprima.lab.scenes.captions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allaprima.paint.layout.vocabulary import Accessory, Framing, Hour, Place, Side, SubjectSize, Weather

Style = Literal["fluent", "flat", "line", "noto"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What stays the same person from picture to picture."""

    skin: str
    hair: str
    hair_color: str
    eyes: str
    brows: str
    nose: str
    ears: str
    beard: str | None


@dataclass(frozen=True, kw_only=True)
class Person:
    """An identity and what may change about it."""

    identity: Identity
    clothes: str
    clothes_color: str
    glasses: str | None
    expression: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One kind of thing in the scene, `count` copies of it.

    `kind` is a key of the subjects table, or `"person"`. `side` is where it stands among several
    subjects (`"middle"` when alone). `size` is `"medium"` unless a caption may say so.
    """

    kind: str
    count: int = 1
    side: Side = "middle"
    size: SubjectSize = "medium"
    accessory: Accessory | None = None
    person: Person | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture before it is painted. `seed` fixes the layout that the words leave open."""

    seed: int
    subjects: tuple[Subject, ...]
    place: Place
    hour: Hour
    weather: Weather
    style: Style = "fluent"
    framing: Framing = "scene"
