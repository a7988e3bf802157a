"""Captions say what the scene has, in words of its own, and report truly what they said."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.scenes.captioned import LANGUAGES, many, mentions, scene_of, ways_of
from tests.lab.scenes.plainly import full_caption

from allaprima.lab.scenes.captions import caption, describe, prefix
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.people import draw_person
from allaprima.lab.scenes.spec import Subject
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Language, Side
from allaprima.paint.layout.wording import wording


def words_of(kind: str, language: Language) -> list[str]:
    info = SUBJECTS[kind]
    return [*info.zh] if language == "zh" else [*info.en, *(plural for plural in info.plurals if plural)]


@given(seed=st.integers(0, 2**40), language=st.sampled_from(LANGUAGES))
def test_captions_are_tidy_and_name_the_first_subject(seed: int, language: Language) -> None:
    scene = draw_scene(seed, split="any")
    said = describe(scene, random.Random(seed), language)
    assert said == describe(scene, random.Random(seed), language)
    assert said.text == caption(scene, random.Random(seed), language=language)
    text = said.text
    assert text == text.strip()
    assert not re.search(r"  |[{}]|,,|，，|的的|None", text)
    assert len(text) < 700
    named = scene.subjects if "subjects" in said.said else scene.subjects[:1]
    for subject in named:
        if subject.person is None:
            assert mentions(text, words_of(subject.kind, language)), (subject.kind, text)


@given(seed=st.integers(0, 2**40), language=st.sampled_from(LANGUAGES))
def test_what_is_said_is_in_the_text(seed: int, language: Language) -> None:
    scene = draw_scene(seed, split="any")
    text, said = (one := describe(scene, random.Random(seed), language)).text, one.said
    words = wording(language)
    sunny = [way for form in words.sunny.values() for way in form]
    if "place" in said:
        assert mentions(text, ways_of(words.places, scene.place)), text
    if "hour" in said:
        assert mentions(text, [*ways_of(words.hours, scene.hour), *sunny]), text
    if "weather" in said:
        assert mentions(text, [*ways_of(words.weather, scene.weather), *sunny]), text
    if "size" in said:
        assert mentions(text, words.sizes[scene.subjects[0].size]), text
    if "count" in said:
        assert mentions(text, words.counts[str(scene.subjects[0].count)]), text


@pytest.mark.parametrize(
    ("language", "left_first", "right_first"),
    [
        (
            "en",
            r"cat on the left|cat to (the )?left of .*dog|cat left of|on (the )?left (a )?cat|left to right (a )?cat",
            r"dog on (the )?right|dog to (the )?right of .*cat|dog right of",
        ),
        ("zh", r"左边(是|有)?一只猫|猫在左边|猫在一只狗的左边|从左到右是一只猫", r"狗在一只猫的右边"),
    ],
)
def test_sides_are_never_swapped(language: Language, left_first: str, right_first: str) -> None:
    sides: tuple[Side, ...] = ("left", "right")
    scene = scene_of(
        *(Subject(kind=kind, side=side) for kind, side in zip(("cat", "dog"), sides, strict=True))
    )
    names = {"en": ("kitten|pet cat|cat face", "puppy|doggy|pup"), "zh": ("小猫|猫咪|猫猫", "小狗|狗狗")}[
        language
    ]
    seen = 0
    for text, said in many(scene, language, 600):
        if "side" in said:
            text = re.sub(names[1], "dog" if language == "en" else "狗", text.lower())
            text = re.sub(names[0], "cat" if language == "en" else "猫", text)
            assert re.search(f"{left_first}|{right_first}", text), text
            seen += 1
        else:
            assert not re.search("left|right|左|右", text)
    assert seen > 200


def test_a_person_is_told_by_looks() -> None:
    person = draw_person(random.Random(1))
    scene = scene_of(Subject(kind="person", person=person), place="park", hour="day")
    full = full_caption(scene)
    assert full.startswith("a person with ")
    assert person.clothes_color in full
    assert full.endswith(" in a park during the day in clear weather")
    texts = many(scene, "en")
    assert any("person" in said for _, said in texts)
    assert any("person" not in said for _, said in texts)
    assert full_caption(scene, "zh").startswith("一个")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "a small cat wearing a crown on a rooftop at sunset in the rain"),
        ("zh", "一只戴着皇冠的很小的猫在屋顶上，日落时，下雨时"),
    ],
)
def test_the_full_caption_says_everything_plainly(language: Language, text: str) -> None:
    assert (
        full_caption(scene_of(Subject(kind="cat", size="small", accessory="crown"), weather="rain"), language)
        == text
    )


def test_the_full_caption_of_three_tells_their_sides() -> None:
    scene = scene_of(
        Subject(kind="cat", side="left"), Subject(kind="ufo", side="middle"), Subject(kind="unicorn", side="right"),
        place="space", hour="night",
    )  # fmt: skip
    assert (
        full_caption(scene)
        == "a cat on the left, a UFO in the middle and a unicorn on the right in space at night"
    )
    assert full_caption(scene, "zh") == "左边是一只猫，中间是一架不明飞行物，右边是一只独角兽，太空里，夜里"


@given(seed=st.integers(0, 2**40), language=st.sampled_from(LANGUAGES))
def test_prefixes_are_what_stood_there_while_typing(seed: int, language: Language) -> None:
    rng = random.Random(seed)
    text = caption(draw_scene(seed, split="any"), rng, language=language)
    start = prefix(text, rng, language)
    assert start
    assert text.startswith(start)
