"""The table of subjects, and the words that training must never use."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args

import pytest

from allaprima.lab.scenes.draw import PLACES
from allaprima.lab.scenes.kept_out import kept_out
from allaprima.lab.scenes.people_words import PERSON_WORDS
from allaprima.lab.scenes.spec import Accessory, Hour, Place, Weather
from allaprima.lab.scenes.subjects import GROUPS, SUBJECTS
from allaprima.lab.scenes.wording import Language, wording

LANGUAGES: tuple[Language, ...] = get_args(Language)


def test_there_are_150_kinds_each_with_its_own_icon() -> None:
    assert len(SUBJECTS) == 150
    assert len({info.icon for info in SUBJECTS.values()}) == 150
    assert "person" not in SUBJECTS
    assert {info.group for info in SUBJECTS.values()} == set(GROUPS)
    assert all(info.icon and info.noto for info in SUBJECTS.values())


def test_no_word_names_two_kinds() -> None:
    for words in (
        [w for info in SUBJECTS.values() for w in {*info.en, *filter(None, info.plurals)}],
        [w for info in SUBJECTS.values() for w in set(info.zh)],
    ):
        assert [word for word, count in Counter(words).items() if count > 1] == []


@pytest.mark.parametrize("kind", SUBJECTS)
def test_every_kind_can_be_named_and_counted(kind: str) -> None:
    info = SUBJECTS[kind]
    assert len(info.en) >= 2
    assert len(info.zh) >= 2
    assert any(info.plurals)
    assert info.measure
    assert len(info.plurals) == len(info.en)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z -]*", word) for word in info.en)
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", word) for word in info.zh)


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


def test_100_words_are_kept_out_and_name_what_we_have() -> None:
    words = kept_out()
    assert Counter(word.language for word in words) == {"en": 70, "zh": 30}
    assert len({word.word for word in words}) == 100
    assert all(word.names in (SUBJECTS if word.what == "subject" else PLACES) for word in words)


def test_no_training_wording_contains_a_kept_out_word() -> None:
    english = [w for info in SUBJECTS.values() for w in (*info.en, *filter(None, info.plurals))]
    chinese = [w for info in SUBJECTS.values() for w in info.zh]
    for entry in PERSON_WORDS.values():
        for ways in entry.values():
            english += ways["en"]
            chinese += ways["zh"]
    english += wording("en").everything()
    chinese += wording("zh").everything()
    for kept in kept_out():
        if kept.language == "en":
            pattern = re.compile(rf"\b{re.escape(kept.word)}(?:s|es)?\b", re.IGNORECASE)
            assert [wording for wording in english if pattern.search(wording)] == []
        else:
            assert [wording for wording in chinese if kept.word in wording] == []
