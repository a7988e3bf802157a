"""Scenes to be captioned, and what their captions mention."""

from __future__ import annotations

import random
import re
from typing import get_args

from allaprima.lab.scenes.captions import describe
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.paint.layout.vocabulary import Hour, Language, Place, Weather

LANGUAGES: tuple[Language, ...] = get_args(Language)


def scene_of(
    *subjects: Subject, place: Place = "rooftop", hour: Hour = "sunset", weather: Weather = "clear"
) -> Scene:
    return Scene(seed=0, subjects=subjects, place=place, hour=hour, weather=weather)


def many(scene: Scene, language: Language, count: int = 300) -> list[tuple[str, frozenset[str]]]:
    said = [describe(scene, random.Random(index), language) for index in range(count)]
    return [(one.text, one.said) for one in said]


def mentions(text: str, ways: list[str] | tuple[str, ...]) -> bool:
    """Whether the text holds one of the ways, articles and case aside."""

    def bare(words: str) -> str:
        return re.sub(r"\b(?:an?|the) ", "", words.lower())

    return any(bare(way) in bare(text) for way in ways)


def ways_of(table: dict[str, dict[str, tuple[str, ...]]], name: str) -> list[str]:
    return [way for form in table[name].values() for way in form]
