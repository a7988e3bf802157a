"""Words for every part of a person, in both languages."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.lab.scenes.crowd import PLAIN, TABLES, drawn

from allaprima.lab.scenes.people_words import person_phrases
from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.vocabulary import Language


def test_every_name_has_words_in_both_languages() -> None:
    for field, table in TABLES.items():
        assert set(PERSON_WORDS[field]) == set(table)
        for words in PERSON_WORDS[field].values():
            assert all(words[language] for language in ("en", "zh"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_phrases_say_every_part_with_its_colour(language: Language) -> None:
    rng = random.Random(5)
    for person in drawn(300, seed=5):
        phrases = person_phrases(person, rng, language)
        assert ("beard" in phrases) == (person.identity.beard is not None)
        assert ("glasses" in phrases) == (person.glasses is not None)
        assert not any("{" in phrase for phrase in phrases.values())
        assert any(
            color in phrases["clothes"]
            for color in PERSON_WORDS["clothes_color"][person.clothes_color][language]
        )


def test_phrases_use_the_right_article() -> None:
    orange = replace(PLAIN, clothes_color="orange")
    said = {person_phrases(orange, random.Random(seed), "en")["clothes"] for seed in range(20)}
    assert said == {"an orange sweater", "an orange crew-neck sweater"}
