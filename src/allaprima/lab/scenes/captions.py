"""Captions: a scene in words as people type them, in English or Chinese, and what each caption says.

Training needs many wordings of the same thing, short ones and incomplete ones among them, because people
type prompts word by word. What a caption leaves open is never contradicted by it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from allaprima.lab.scenes import captions_en, captions_zh
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.telling import Telling, draw_telling
from allaprima.paint.layout.vocabulary import Language

_CUT_WORD_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class Said:
    """A caption and the names of what it says.

    `said` holds some of `subjects` (all of them are named; the first always is), `place`, `hour`, `weather`,
    `accessory`, `count` (a number of copies), `side`, `size`, `framing` (a portrait) and `person` (what a person
    looks like).
    """

    text: str
    said: frozenset[str]


def describe(scene: Scene, rng: random.Random, language: Language = "en") -> Said:
    """Return one caption of the scene at random, together with what it says."""
    telling = draw_telling(scene, rng)
    return Said(text=say(telling, rng, language), said=telling.said())


def say(telling: Telling, rng: random.Random, language: Language) -> str:
    """Return one caption of what `telling` tells."""
    return captions_en.say(telling, rng) if language == "en" else captions_zh.say(telling, rng)


def caption(scene: Scene, rng: random.Random, *, language: Language = "en") -> str:
    """Return one caption of the scene at random."""
    return describe(scene, rng, language).text


def prefix(text: str, rng: random.Random, language: Language = "en") -> str:
    """Return what stood in the box at some moment while `text` was typed; never empty.

    English is cut between words and now and then within one, Chinese between characters.
    """
    if language == "zh":
        return text[: rng.randint(1, len(text))].rstrip("，、,。 ") or text[:1]
    words = text.split(" ")
    kept = words[: rng.randint(1, len(words))]
    if rng.random() < _CUT_WORD_SHARE:
        kept[-1] = kept[-1][: rng.randint(1, len(kept[-1]))]
    return " ".join(kept)
