"""The plain caption of a scene that says everything a picture shows clearly: the same one every time."""

from __future__ import annotations

import random
from typing import Any

from allaprima.lab.scenes import captions_en, captions_zh, telling
from allaprima.lab.scenes.nouns_en import who
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.telling import Telling
from allaprima.lab.scenes.wording import air
from allaprima.paint.layout.vocabulary import Language

CLEAR_PARTS = ("skin", "hair", "beard", "glasses", "clothes", "expression")
"""What is seen of a person at the size of a scene."""


class Plain(random.Random):
    """A source of randomness that always takes the first way and never an unlikely turn."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def random(self) -> float:
        return 1.0 - 2**-53

    def shuffle(self, x: Any) -> None:
        pass


def everything(scene: Scene) -> Telling:
    """Return the telling that leaves nothing open."""
    parts = {
        index: tuple(part for part in CLEAR_PARTS if part in telling._parts(subject.person))
        for index, subject in enumerate(scene.subjects)
        if subject.person is not None
    }
    told = frozenset(telling._tellable(scene))
    return Telling(scene=scene, subjects=scene.subjects, told=told, parts=parts)


def full_caption(scene: Scene, language: Language = "en") -> str:
    told, rng = everything(scene), Plain()
    if language == "en":
        return " ".join([who(told, rng), *captions_en._around(told, rng)])
    return "，".join([captions_zh._placed(told, rng), *air(told.told, scene, "zh", "when", rng)])
