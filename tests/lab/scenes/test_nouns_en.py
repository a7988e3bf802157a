"""English nouns in captions: articles, plurals, what belongs to whom."""

from __future__ import annotations

import re

import pytest
from tests.lab.scenes.captioned import many, scene_of
from tests.lab.scenes.plainly import full_caption

from allaprima.lab.scenes.nouns_en import with_article
from allaprima.lab.scenes.spec import Subject


def test_sides_and_accessories_keep_to_their_subject() -> None:
    scene = scene_of(Subject(kind="cat", side="left", accessory="crown"), Subject(kind="dog", side="right"))
    for text, said in many(scene, "en"):
        if "accessory" in said and "subjects" in said:
            assert re.search(r"(cat|kitten|cat face) [a-z ]*crown", text.lower()), text
            assert not re.search(
                r"(dog|puppy|doggy|pup) (wearing|with|in) (a )?(gold(en)? )?crown", text.lower()
            ), text


@pytest.mark.parametrize("count", [2, 3, 4])
def test_copies_are_plural(count: int) -> None:
    scene = scene_of(Subject(kind="mouse", count=count))
    assert full_caption(scene) == (
        f"{ {2: 'two', 3: 'three', 4: 'four'}[count] } mice on a rooftop at sunset in clear weather"
    )
    for text, _ in many(scene, "en"):
        assert "mice" in text.lower()
        assert "mouse" not in text.lower()


def test_words_without_a_number_get_no_article() -> None:
    for text, _ in many(scene_of(Subject(kind="sushi")), "en"):
        assert not re.search(r"\ba sushi", text.lower())


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("apple", "an apple"),
        ("UFO", "a UFO"),
        ("unicorn", "a unicorn"),
        ("umbrella", "an umbrella"),
        ("cat", "a cat"),
    ],
)
def test_articles(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase
