"""Framing: scenes as portraits, and scenes whose things are anywhere.

:func:`allaprima.lab.scenes.draw.draw_scene` draws what is most common, people and things on the ground. Here some of
its scenes become portraits, in which a head fills most of the picture, and in some the things stand at any height.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from allaprima.lab.scenes.draw import ACCESSORIES, ACCESSORY_SHARE, Split, draw_scene
from allaprima.lab.scenes.holdout import is_heldout_person
from allaprima.lab.scenes.people import draw_person
from allaprima.lab.scenes.spec import Scene, Style, Subject
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.vocabulary import Framing

FRAMING_SHARES: Final[dict[Framing, float]] = {"scene": 0.5, "portrait": 0.2, "anywhere": 0.3}


def draw_framed(seed: int, *, split: Split = "train", style: Style = "fluent") -> Scene:
    """Draw the scene of a seed: the one of `draw_scene`, framed by chance; held-out portraits are of such people."""
    scene = draw_scene(seed, split=split, style=style)
    rng = random.Random(f"framing {seed}")
    framing = rng.choices(list(FRAMING_SHARES), list(FRAMING_SHARES.values()))[0]
    return portrait_of(scene, rng, split=split) if framing == "portrait" else replace(scene, framing=framing)


def portrait_of(scene: Scene, rng: random.Random, *, split: Split = "any") -> Scene:
    """Return the scene with one new person in place of its subjects, whose head fills most of the picture."""
    person = draw_person(rng)
    while split != "any" and is_heldout_person(person) != (split == "heldout"):
        person = draw_person(rng)
    wearable = [item for item in ACCESSORIES if not (person.glasses and item == "sunglasses")]
    worn = rng.choice(wearable) if rng.random() < ACCESSORY_SHARE else None
    return replace(scene, subjects=(Subject(kind=PERSON, person=person, accessory=worn),), framing="portrait")
