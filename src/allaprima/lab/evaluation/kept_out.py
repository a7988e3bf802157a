"""Plain prompts that use the words no training caption holds (:mod:`allaprima.lab.scenes.kept_out`)."""

from __future__ import annotations

from typing import cast

from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.kept_out import KeptOut
from allaprima.lab.scenes.nouns_en import with_article
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Place
from allaprima.paint.layout.wording import wording


def kept_out_prompt(word: KeptOut, seed: int) -> tuple[Scene, str]:
    """Draw a scene with one thing somewhere at some hour, and a prompt for it with `word`; `seed` fixes both."""
    drawn = draw_scene(seed, split="any")
    kinds = list(SUBJECTS)
    kind, place = kinds[seed % len(kinds)], drawn.place
    if word.what == "subject":
        kind = word.names
    else:
        place = cast("Place", word.names)
    scene = Scene(seed=seed, subjects=(Subject(kind=kind),), place=place, hour=drawn.hour, weather="clear")
    return scene, _english(word, scene) if word.language == "en" else _chinese(word, scene)


def _english(word: KeptOut, scene: Scene) -> str:
    words, info = wording("en"), SUBJECTS[scene.subjects[0].kind]
    plain = word.word if word.what == "subject" else info.en[0]
    # What is not counted under its plain name ("sushi") is not counted under another one either.
    thing = with_article(plain) if info.plurals[0] else plain
    if word.what == "place":
        return f"{thing}, {word.word}, {words.hours[scene.hour]['bare'][0]}"
    return f"{thing} {words.places[scene.place]['where'][0]} {words.hours[scene.hour]['when'][0]}"


def _chinese(word: KeptOut, scene: Scene) -> str:
    words, info = wording("zh"), SUBJECTS[scene.subjects[0].kind]
    hour = words.hours[scene.hour]["when"][0]
    if word.what == "place":
        return f"{info.zh[0]}，{word.word}，{hour}"
    return f"一{info.measure}{word.word}在{words.places[scene.place]['at'][0]}，{hour}"
