"""Every word there is for scenes, in both languages."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
from tests.lab.scenes.captioned import many

from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.vocabulary import Accessory, Hour, Language, Place, Weather
from allaprima.paint.layout.wording import wording


def test_colours_of_the_full_colour_icons_are_not_told_of_line_drawings() -> None:
    scene = Scene(
        seed=0, subjects=(Subject(kind="car"),), place="park", hour="day", weather="clear", style="line"
    )
    assert all("red" not in text.lower() for text, _ in many(scene, "en"))
    assert all("红" not in text for text, _ in many(scene, "zh"))


LANGUAGES: tuple[Language, ...] = get_args(Language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_a_scene_can_have_has_words(language: Language) -> None:
    words = wording(language)
    assert set(words.places) == set(get_args(Place))
    assert set(words.hours) == set(get_args(Hour))
    assert set(words.weather) == set(get_args(Weather))
    assert set(words.accessories) == set(get_args(Accessory))
    assert set(words.sizes) == {"small", "large"}
    assert set(words.counts) == {"2", "3", "4", "some"}
    assert set(PERSON_WORDS["expression"]) <= set(words.person)


def test_wordings_of_one_language_name_one_thing_each() -> None:
    for language in LANGUAGES:
        words = wording(language)
        for table in (words.places, words.hours, words.weather):
            every = [way for ways in table.values() for way in {w for form in ways.values() for w in form}]
            assert [way for way, count in Counter(every).items() if count > 1] == []
