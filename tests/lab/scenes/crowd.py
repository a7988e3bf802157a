"""People drawn at random, and every name their parts can have."""

from __future__ import annotations

import random

from allaprima.lab.scenes import people
from allaprima.lab.scenes.spec import Identity, Person

PLAIN = Person(
    identity=Identity(
        skin="fair",
        hair="quiff",
        hair_color="brown",
        eyes="oval",
        brows="raised",
        nose="curved",
        ears="small",
        beard=None,
    ),
    clothes="sweater",
    clothes_color="blue",
    glasses=None,
    expression="smile",
)


OF_IDENTITY: dict[str, dict[str, str]] = {
    "skin": people.SKIN,
    "hair": people.HAIR,
    "hair_color": people.HAIR_COLORS,
    "eyes": people.EYES,
    "brows": people.BROWS,
    "nose": people.NOSES,
    "ears": people.EARS,
    "beard": people.BEARDS,
}


OF_PERSON: dict[str, dict[str, str]] = {
    "clothes": people.CLOTHES,
    "clothes_color": people.CLOTHES_COLORS,
    "glasses": people.GLASSES,
    "expression": people.EXPRESSIONS,
}


TABLES = OF_IDENTITY | OF_PERSON


def drawn(count: int, seed: int = 0) -> list[Person]:
    rng = random.Random(seed)
    return [people.draw_person(rng) for _ in range(count)]
