"""Words that no training caption holds, and plain prompts that use them.

`words/kept_out.json` lists, by language, synonyms of kinds and of places. A base that knows what words mean
rather than what it was shown paints them all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from allaprima.lab.scenes.captions import Language
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.nouns_en import with_article
from allaprima.lab.scenes.spec import Place, Scene, Subject
from allaprima.lab.scenes.subjects import SUBJECTS
from allaprima.lab.scenes.wording import wording


@dataclass(frozen=True, kw_only=True)
class KeptOutWord:
    """A word, and the kind of thing or the place it stands for."""

    word: str
    language: Language
    part: Literal["subjects", "places"]
    means: str


@cache
def kept_out_words() -> tuple[KeptOutWord, ...]:
    """All kept-out words, in the file's order."""
    text = files("allaprima.lab.scenes").joinpath("words/kept_out.json").read_text(encoding="utf-8")
    languages: tuple[Language, ...] = ("en", "zh")
    parts: tuple[Literal["subjects", "places"], ...] = ("subjects", "places")
    return tuple(
        KeptOutWord(word=word, language=language, part=part, means=means)
        for language in languages
        for part in parts
        for word, means in json.loads(text)[language][part].items()
    )


def kept_out_prompt(word: KeptOutWord, seed: int) -> tuple[Scene, str]:
    """A scene with one thing somewhere at some hour, and a prompt for it that uses `word`; `seed` fixes both."""
    drawn = draw_scene(seed, split="any")
    kinds = list(SUBJECTS)
    kind, place = kinds[seed % len(kinds)], drawn.place
    if word.part == "subjects":
        kind = word.means
    else:
        place = cast("Place", word.means)
    scene = Scene(seed=seed, subjects=(Subject(kind=kind),), place=place, hour=drawn.hour, weather="clear")
    return scene, _english(word, scene) if word.language == "en" else _chinese(word, scene)


def _english(word: KeptOutWord, scene: Scene) -> str:
    words, info = wording("en"), SUBJECTS[scene.subjects[0].kind]
    plain = word.word if word.part == "subjects" else info.en[0]
    # What is not counted under its plain name ("sushi") is not counted under another one either.
    thing = with_article(plain) if info.plurals[0] else plain
    if word.part == "places":
        return f"{thing}, {word.word}, {words.hours[scene.hour]['bare'][0]}"
    return f"{thing} {words.places[scene.place]['where'][0]} {words.hours[scene.hour]['when'][0]}"


def _chinese(word: KeptOutWord, scene: Scene) -> str:
    words, info = wording("zh"), SUBJECTS[scene.subjects[0].kind]
    hour = words.hours[scene.hour]["when"][0]
    if word.part == "places":
        return f"{info.zh[0]}，{word.word}，{hour}"
    return f"一{info.measure}{word.word}在{words.places[scene.place]['at'][0]}，{hour}"
