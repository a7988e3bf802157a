"""The ways to say places, hours, weather, accessories and numbers, in English and Chinese.

`words/scene.json` holds them by language. Of every list the first is the plain way.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from allaprima.lab.scenes.spec import Scene, Style, Subject
from allaprima.lab.scenes.subjects import SUBJECTS

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Ways = dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Wording:
    """All wordings of one language.

    places: place -> `where` ("on a rooftop") and `noun` ("a rooftop"); in Chinese `at` and `bare`.
    hours, weather: name -> `when` ("at sunset"), `bare` ("sunset"), `clause` ("the sun is setting"), and for
        the weather `adjective` ("rainy"). `sunny` is said of clear days alone and has the same three.
    accessories: name -> `one` and `many` ("wearing a crown", "wearing crowns") and `bare`;
        in Chinese `phrase`.
    sizes: small and large -> adjectives. counts: "2", "3", "4" and "some" -> number words.
    framings: name -> `of` ("a close-up of {0}", around the words for who is in it) and `bare` ("close-up").
    colors: words that name a colour, which only the full-colour icon sets are sure to keep.
    wrappers, tails: what people put before ("a picture of") and after ("illustration") and that says nothing.
    person: how to name a person and the general words for what they look like.
    """

    places: dict[str, Ways]
    hours: dict[str, Ways]
    sunny: Ways
    weather: dict[str, Ways]
    accessories: dict[str, Ways]
    sizes: Ways
    counts: Ways
    framings: dict[str, Ways]
    colors: tuple[str, ...]
    wrappers: tuple[str, ...]
    tails: tuple[str, ...]
    person: Ways

    def everything(self) -> list[str]:
        """Return every wording of this language, for checks that look for words."""
        return list(_leaves([getattr(self, field.name) for field in fields(self)]))


@cache
def wording(language: Language) -> Wording:
    """Return the wordings of `language`, read once."""
    text = files("allaprima.lab.scenes").joinpath("words/scene.json").read_text(encoding="utf-8")
    return Wording(**{name: _freeze(entry) for name, entry in json.loads(text)[language].items()})


def _freeze(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: _freeze(value) for name, value in entry.items()}
    return tuple(entry)


def _leaves(entry: Any) -> Any:
    if isinstance(entry, str):
        yield entry
    else:
        for value in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(value)


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
