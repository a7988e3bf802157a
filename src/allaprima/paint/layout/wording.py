"""The ways to say places, hours, weather, accessories and numbers, in English and Chinese.

`words/scene.json` holds them by language. Of every list the first is the plain way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from allaprima.paint.layout.vocabulary import Language

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
    text = files("allaprima.paint.layout").joinpath("words/scene.json").read_text(encoding="utf-8")
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
