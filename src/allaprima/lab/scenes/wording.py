"""Choosing among the ways to name a subject, an hour and a weather."""

from __future__ import annotations

import random
import re

from allaprima.lab.scenes.spec import Scene, Style, Subject
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Language
from allaprima.paint.layout.wording import wording

_SIZED = re.compile(r"^(?:little|baby|giant|tall|小|大|高高)")
_FIRST_SHARE = 0.5


def names(subject: Subject, style: Style, language: Language) -> list[tuple[str, str | None]]:
    """Return the names that fit this subject as it is painted, the plain one first, each with its plural.

    Names that tell a colour are left out where the icon set may paint another one, and names that tell a size
    where the subject has one of its own. Chinese names are their own plural.
    """
    info = SUBJECTS[subject.kind]
    pairs = (
        list(zip(info.en, info.plurals, strict=True))
        if language == "en"
        else [(name, name) for name in info.zh]
    )
    colors = wording(language).colors
    rest = [
        (name, plural)
        for name, plural in pairs[1:]
        if not (subject.size != "medium" and _SIZED.match(name))
        and not (
            style != "fluent"
            and any(color in (name.split() if language == "en" else name) for color in colors)
        )
    ]
    return [pairs[0], *rest]


def pick_name(options: list[tuple[str, str | None]], rng: random.Random) -> tuple[str, str | None]:
    """Return one of the options, the first much more often than the others."""
    return rng.choice(options[:1] if rng.random() < _FIRST_SHARE else options)


def air(told: frozenset[str], scene: Scene, language: Language, form: str, rng: random.Random) -> list[str]:
    """Hour and weather in words of one form, as far as told; often one phrase for both on a sunny day."""
    words = wording(language)
    if told >= {"hour", "weather"} and (scene.hour, scene.weather) == ("day", "clear") and rng.random() < 0.6:
        return [rng.choice(words.sunny[form])]
    hour = [rng.choice(words.hours[scene.hour][form])] if "hour" in told else []
    weather = [rng.choice(words.weather[scene.weather][form])] if "weather" in told else []
    return [*hour, *weather]
