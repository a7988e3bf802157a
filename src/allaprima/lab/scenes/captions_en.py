"""Putting scenes into English as people type it: phrases, sentences and lists of words, in any order."""

from __future__ import annotations

import random
import re

from allaprima.lab.scenes.nouns_en import ordered, tags, who, with_article, without_article
from allaprima.lab.scenes.telling import Telling
from allaprima.lab.scenes.wording import air
from allaprima.paint.layout.wording import wording

_ARTICLES = re.compile(r"\b(?:an?|the) (?!few |pair |couple )")


def say(telling: Telling, rng: random.Random) -> str:
    """Return one English caption of what `telling` tells."""
    form = rng.choices((_flow, _listed, _fronted, _sentence, _place_first), (42, 24, 10, 16, 8))[0]
    text = form(telling, rng)
    if form is not _listed and rng.random() < 0.12:
        text = _ARTICLES.sub("", text)
    if rng.random() < 0.05:
        text = f"{text}, {rng.choice(wording('en').tails)}"
    return _typed(text, rng)


def _flow(telling: Telling, rng: random.Random) -> str:
    """Say `a cat on a rooftop at sunset in the rain`."""
    around = _around(telling, rng)
    if rng.random() < 0.25:
        rng.shuffle(around)
    return (", " if rng.random() < 0.12 else " ").join([who(telling, rng), *around])


def _listed(telling: Telling, rng: random.Random) -> str:
    """Say `cat, rooftop, sunset`."""
    scene, told = telling.scene, telling.told
    around = air(told, scene, "en", "bare", rng)
    if "place" in told:
        around.insert(0, without_article(rng.choice(wording("en").places[scene.place]["noun"])))
    if rng.random() < 0.4:
        rng.shuffle(around)
    if "side" in told:
        subjects = [who(telling, rng)]
    else:
        subjects = [tag for subject in ordered(telling, rng) for tag in tags(telling, subject, rng)]
    if "framing" in told:
        subjects.insert(0, rng.choice(wording("en").framings[scene.framing]["bare"]))
    at = rng.randint(0, len(around)) if rng.random() < 0.25 else 0
    return (", " if rng.random() < 0.85 else " ").join([*around[:at], *subjects, *around[at:]])


def _fronted(telling: Telling, rng: random.Random) -> str:
    """Say `at sunset, on a rooftop, a cat`."""
    around = _around(telling, rng)
    rng.shuffle(around)
    at = rng.randint(min(1, len(around)), len(around))
    return "".join(f"{part}, " for part in around[:at]) + " ".join([who(telling, rng), *around[at:]])


def _sentence(telling: Telling, rng: random.Random) -> str:
    """Say `there is a cat on a rooftop. it is raining`."""
    apart = rng.random() < 0.35
    clauses = air(telling.told, telling.scene, "en", "clause", rng) if apart else []
    around = _where(telling, rng) + ([] if apart else air(telling.told, telling.scene, "en", "when", rng))
    phrase = " ".join([who(telling, rng), *around])
    turn = rng.random()
    if turn < 0.4 and phrase.startswith(("a ", "an ", "someone", "somebody")):
        phrase = f"{rng.choice(('there is', 'there is', 'this is', 'here is'))} {phrase}"
    elif turn < 0.4 and telling.subjects[0].count > 1:
        phrase = f"there are {phrase}"
    elif turn < 0.9:
        phrase = f"{rng.choice(wording('en').wrappers)} {phrase}"
    return rng.choice((". ", ", ")).join([phrase, *clauses])


def _place_first(telling: Telling, rng: random.Random) -> str:
    """Say `a rainy city with two dogs at night`."""
    if "place" not in telling.told:
        return _flow(telling, rng)
    words, scene = wording("en"), telling.scene
    noun, told = rng.choice(words.places[scene.place]["noun"]), telling.told
    adjectives = words.weather[scene.weather]["adjective"]
    if adjectives and "weather" in told and noun.startswith("a ") and rng.random() < 0.5:
        adjective = rng.choice(adjectives)
        noun, told = with_article(f"{adjective} {without_article(noun)}"), told - {"weather"}
    return " ".join([noun, "with", who(telling, rng), *air(told, scene, "en", "when", rng)])


def _around(telling: Telling, rng: random.Random) -> list[str]:
    return _where(telling, rng) + air(telling.told, telling.scene, "en", "when", rng)


def _where(telling: Telling, rng: random.Random) -> list[str]:
    told = "place" in telling.told
    return [rng.choice(wording("en").places[telling.scene.place]["where"])] if told else []


def _typed(text: str, rng: random.Random) -> str:
    """Return the text as typed: mostly in small letters, now and then with a full stop or comma at the end."""
    turn = rng.random()
    if turn < 0.72:
        text = text.lower()
    elif turn < 0.94:
        text = text[0].upper() + text[1:]
    elif turn < 0.96:
        text = text.title()
    elif turn < 0.97:
        text = text.upper()
    turn = rng.random()
    return text + ("." if turn < 0.10 else "," if turn < 0.13 else "")
