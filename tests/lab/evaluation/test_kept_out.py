"""Prompts with words that no caption of the training holds."""

from __future__ import annotations

import random
import re

from tests.lab.evaluation.asked import asks, of

from allaprima.lab.evaluation.kept_out import kept_out_prompt
from allaprima.lab.scenes.captions import describe
from allaprima.lab.scenes.kept_out import kept_out


def test_kept_out_words_are_in_their_prompts_and_mean_what_is_asked() -> None:
    words = kept_out()
    assert len(words) >= 100
    for number, word in enumerate(words):
        scene, prompt = kept_out_prompt(word, 4_000_000_000 + number)
        assert word.word in prompt
        assert word.names in {scene.subjects[0].kind, scene.place}
    for ask in of("kept-out words"):
        assert ask.word is not None
        assert ask.asked in ({"kind", "count"}, {"place"})


def test_captions_never_use_kept_out() -> None:
    english = "|".join(re.escape(word.word) for word in kept_out() if word.language == "en")
    pattern = re.compile(rf"\b(?:{english})s?\b", re.IGNORECASE)
    for number, ask in enumerate(asks()):
        if ask.suite != "kept-out words":
            told = describe(ask.scene, random.Random(number)).text
            assert not pattern.search(told), told
