"""Choosing among the ways to say the parts of a person."""

from __future__ import annotations

import random
import re

from allaprima.lab.scenes.spec import Person
from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.vocabulary import Language


def person_phrases(person: Person, rng: random.Random, language: Language) -> dict[str, str]:
    """Choose one way to say each part of `person`, colours filled in.

    Returns:
        field -> phrase, for skin, hair, eyes, brows, nose, ears, clothes and expression, and for beard and
        glasses where the person has them.
    """
    face = person.identity

    def say(field: str, name: str, color: str = "") -> str:
        return _with_article(rng.choice(PERSON_WORDS[field][name][language]).replace("{color}", color))

    hair_color = say("hair_color", face.hair_color)
    phrases = {
        "skin": say("skin", face.skin),
        "hair": say("hair", face.hair, hair_color),
        **{part: say(part, getattr(face, part)) for part in ("eyes", "brows", "nose", "ears")},
        "clothes": say("clothes", person.clothes, say("clothes_color", person.clothes_color)),
        "expression": say("expression", person.expression),
    }
    if face.beard:
        phrases["beard"] = say("beard", face.beard, hair_color)
    if person.glasses:
        phrases["glasses"] = say("glasses", person.glasses)
    return phrases


def _with_article(phrase: str) -> str:
    return re.sub(r"^a (?=[aeiou])", "an ", phrase)
