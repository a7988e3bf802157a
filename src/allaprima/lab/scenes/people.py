"""The people of the training scenes: avatars put together from the parts of one drawing system.

The parts are those of "Avatar Illustration System" by Micah Lanier (CC BY 4.0), as packaged by DiceBear;
`micah.mjs` took them apart once and `words/people_parts.json` holds them, colours and places left open.
A :class:`~allaprima.lab.scenes.spec.Person` names parts and colours in plain English, so that captions can
say them, and :func:`person_svg` turns it into a picture.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from allaprima.lab.scenes.spec import Identity, Person

SKIN: Final[dict[str, str]] = {
    "porcelain": "#fde4d6", "fair": "#f9c9b6", "rosy": "#f4b3a8", "peach": "#f2be90", "golden": "#dda25e",
    "olive": "#bf9a62", "tan": "#c0804f", "bronze": "#ad6844", "brown": "#925433", "dark brown": "#75402a",
}  # fmt: skip
"""Skin tones by name, light to dark."""

HAIR_COLORS: Final[dict[str, str]] = {
    "black": "#35312f", "brown": "#6d4128", "auburn": "#99402a", "ginger": "#e07b2e", "blond": "#f4d26b",
    "grey": "#a9abb0", "white": "#fbf8f1", "red": "#dc3030", "blue": "#4c86ea", "pink": "#f78fb8",
    "purple": "#9468e0", "green": "#4db877",
}  # fmt: skip
"""Colours of hair (and beard, and turban) by name: what grows first, then what is dyed."""

CLOTHES_COLORS: Final[dict[str, str]] = {
    "white": "#fafaf7", "black": "#3c3c44", "grey": "#9ea4ab", "red": "#e5483d", "orange": "#f58d35",
    "yellow": "#f8cd46", "green": "#55b86b", "blue": "#4b8bf0", "purple": "#9a74e0", "pink": "#f79fc4",
}  # fmt: skip
"""Colours of clothes by name."""

HAIR: Final[dict[str, str]] = {
    "quiff": "fonze", "mohawk": "mrT", "wisps": "dougFunny", "bald": "mrClean", "mullet": "dannyPhantom",
    "long hair": "full", "turban": "turban", "bob": "pixie",
}  # fmt: skip
EYES: Final[dict[str, str]] = {
    "oval": "eyes", "round": "round", "shadowed": "eyesShadow", "smiling": "smiling",
    "smiling shadowed": "smilingShadow",
}  # fmt: skip
BROWS: Final[dict[str, str]] = {
    "raised": "up", "lowered": "down", "raised with lashes": "eyelashesUp", "lowered with lashes": "eyelashesDown",
}  # fmt: skip
NOSES: Final[dict[str, str]] = {"curved": "curve", "pointed": "pointed", "round": "tound"}
EARS: Final[dict[str, str]] = {"small": "attached", "long": "detached"}
BEARDS: Final[dict[str, str]] = {"beard": "beard", "stubble": "scruff"}
CLOTHES: Final[dict[str, str]] = {"sweater": "crew", "wide-neck top": "open", "collared shirt": "collared"}
GLASSES: Final[dict[str, str]] = {"round": "round", "square": "square"}
EXPRESSIONS: Final[dict[str, str]] = {
    "smile": "smile", "laugh": "laughing", "smirk": "smirk", "surprise": "surprised", "sad": "sad",
    "frown": "frown", "nervous": "nervous", "pout": "pucker",
}  # fmt: skip
"""Each table above: the name a `Person` uses -> the variant of the drawing system."""

BEARDED: Final = 0.3
BESPECTACLED: Final = 0.35

_SLOT = re.compile(r"@@(\w+)@@|@(\w+)@")
_INK, _LIGHT_INK, _GOLD = "#000000", "#f1dfd2", "#f4d150"


def draw_person(rng: random.Random) -> Person:
    """Draw a person at random: every identity is as likely as its parts allow, and `rng` fixes it."""
    return Person(
        identity=draw_identity(rng),
        clothes=rng.choice(list(CLOTHES)),
        clothes_color=rng.choice(list(CLOTHES_COLORS)),
        glasses=rng.choice(list(GLASSES)) if rng.random() < BESPECTACLED else None,
        expression=rng.choice(list(EXPRESSIONS)),
    )


def draw_identity(rng: random.Random) -> Identity:
    """Draw the part of a person that stays: face, hair and beard.

    A bald head without a full beard shows no hair colour (stubble is inked black); it is always said to be
    `"black"`, so that two identities differ exactly when their pictures do.
    """
    hair = rng.choice(list(HAIR))
    beard = rng.choice(list(BEARDS)) if rng.random() < BEARDED else None
    hair_color = rng.choice(list(HAIR_COLORS))
    return Identity(
        skin=rng.choice(list(SKIN)),
        hair=hair,
        hair_color="black" if hair == "bald" and beard != "beard" else hair_color,
        eyes=rng.choice(list(EYES)),
        brows=rng.choice(list(BROWS)),
        nose=rng.choice(list(NOSES)),
        ears=rng.choice(list(EARS)),
        beard=beard,
    )


@cache
def _drawing_system() -> dict[str, Any]:
    """Return the view box, the frame that places the parts, and under "parts" every part's SVG by variant."""
    text = files("allaprima.lab.scenes").joinpath("words/people_parts.json").read_text(encoding="utf-8")
    system: dict[str, Any] = json.loads(text)
    return system


def person_svg(person: Person) -> str:
    """Return the person as a complete SVG, head and shoulders in a square, on a transparent ground.

    Raises:
        ValueError: a name is in none of the tables of this module.
    """
    system, chosen, colors = _drawing_system(), _chosen(person), _colors(person)

    def fill(match: re.Match[str]) -> str:
        part, color = match.groups()
        if color is not None:
            return colors.get(color, _INK)
        variant = chosen.get(part)
        return _SLOT.sub(fill, system["parts"][part][variant]) if variant else ""

    body = _SLOT.sub(fill, system["frame"])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{system["viewBox"]}" fill="none">{body}</svg>'


def _chosen(person: Person) -> dict[str, str | None]:
    face = person.identity
    return {
        "base": "standard",
        "hair": _look_up("hair", HAIR, face.hair),
        "eyes": _look_up("eyes", EYES, face.eyes),
        "eyebrows": _look_up("brows", BROWS, face.brows),
        "nose": _look_up("nose", NOSES, face.nose),
        "ears": _look_up("ears", EARS, face.ears),
        "facialHair": _look_up("beard", BEARDS, face.beard) if face.beard else None,
        "mouth": _look_up("expression", EXPRESSIONS, person.expression),
        "glasses": _look_up("glasses", GLASSES, person.glasses) if person.glasses else None,
        "shirt": _look_up("clothes", CLOTHES, person.clothes),
    }


def _colors(person: Person) -> dict[str, str]:
    face = person.identity
    hair = _look_up("hair_color", HAIR_COLORS, face.hair_color)
    return {
        "base": _look_up("skin", SKIN, face.skin),
        "hair": hair,
        "facialHair": hair,
        "mouth": _LIGHT_INK if _mouth_is_lost(person) else _INK,
        "glasses": _GOLD if face.skin in ("brown", "dark brown") else _INK,
        "shirt": _look_up("clothes_color", CLOTHES_COLORS, person.clothes_color),
        "eyeShadow": "#b79cf0",
    }


def _mouth_is_lost(person: Person) -> bool:
    """Return whether the mouth is a bare line of ink on a beard as dark as ink."""
    dark = person.identity.beard == "beard" and person.identity.hair_color in ("black", "brown")
    return dark and person.expression in ("smile", "smirk", "sad", "frown", "pout")


def _look_up(field: str, table: Mapping[str, str], name: str) -> str:
    if name not in table:
        raise ValueError(f"a person's {field} cannot be {name!r}: choose one of {', '.join(table)}")
    return table[name]


@dataclass(frozen=True, kw_only=True)
class HeadAnchor:
    """Where accessories sit on a person, as fractions of the avatar's square (y grows downwards).

    The top is the line on which a hat's brim rests, the width there that of the hair it must cover. `tilt` is
    how far the head leans, in degrees, clockwise positive: turn the accessory by it (but not at the neck).
    """

    eyes_x: float
    eyes_y: float
    eyes_width: float
    top_x: float
    top_y: float
    top_width: float
    neck_x: float
    neck_y: float
    neck_width: float
    tilt: float


# Brim lines (x, y, width), measured in the 360 units of the view box on the outline of each hair style.
_SKULL = (169, 90, 146)
_BRIMS: Final[dict[str, tuple[int, int, int]]] = {
    "quiff": (171, 80, 180), "mullet": (164, 81, 178), "long hair": (160, 74, 172), "turban": (173, 54, 174),
    "bob": (159, 74, 172),
}  # fmt: skip


def head_anchor(person: Person) -> HeadAnchor:
    """Return where glasses, hats and scarves belong on `person`; of all its parts only the hair moves anything."""
    x, y, width = _BRIMS.get(person.identity.hair, _SKULL)
    return HeadAnchor(
        eyes_x=191 / 360, eyes_y=144 / 360, eyes_width=124 / 360,
        top_x=x / 360, top_y=y / 360, top_width=width / 360,
        neck_x=171 / 360, neck_y=300 / 360, neck_width=136 / 360,
        tilt=-9.0,
    )  # fmt: skip
