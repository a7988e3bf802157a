"""What prompts ask for, in both languages: on plain examples and on captions that were never looked at."""

from __future__ import annotations

import random

import pytest

from allaprima.lab.scenes.captions import prefix, say
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.telling import Telling, draw_telling
from allaprima.paint.layout.reading import Asked, AskedSubject, read
from allaprima.paint.layout.vocabulary import LANGUAGES, Language

CAT, DOG = AskedSubject(kind="cat"), AskedSubject(kind="dog")
TWO_CATS = AskedSubject(kind="cat", count=2)
CAT_LEFT, DOG_RIGHT = AskedSubject(kind="cat", side="left"), AskedSubject(kind="dog", side="right")


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("", Asked()),
        ("a cat", Asked(subjects=(CAT,))),
        ("A CAT on the Rooftop!", Asked(subjects=(CAT,), place="rooftop")),
        ("a cat on a sunny day", Asked(subjects=(CAT,), hour="day", weather="clear")),
        ("three kittens", Asked(subjects=(AskedSubject(kind="cat", count=3),))),
        ("some dogs, beach", Asked(subjects=(AskedSubject(kind="dog", count=None),), place="beach")),
        ("seven apples", Asked(subjects=(AskedSubject(kind="apple", count=7),))),
        ("a cat on the left and a dog on the right", Asked(subjects=(CAT_LEFT, DOG_RIGHT))),
        ("on the left a cat, on the right a dog", Asked(subjects=(CAT_LEFT, DOG_RIGHT))),
        ("a dog to the right of a cat", Asked(subjects=(DOG_RIGHT, CAT_LEFT))),
        ("a cat on the left and a dog", Asked(subjects=(CAT_LEFT, DOG_RIGHT))),
        ("猫在狗的左边", Asked(subjects=(CAT_LEFT, DOG_RIGHT))),
        ("左边是猫，右边是狗，下着雨", Asked(subjects=(CAT_LEFT, DOG_RIGHT), weather="rain")),
        ("屋顶上的两只猫，日落时", Asked(subjects=(TWO_CATS,), place="rooftop", hour="sunset")),
        (
            "一只戴着皇冠的猫和一只狗",
            Asked(subjects=(AskedSubject(kind="cat", accessory="crown"), DOG)),
        ),
        (
            "a cat and a tiny dog wearing a scarf",
            Asked(subjects=(CAT, AskedSubject(kind="dog", size="small", accessory="scarf"))),
        ),
        (
            "a close-up of a person with a red mohawk",
            Asked(subjects=(AskedSubject(kind="person", hair="mohawk"),), framing="portrait"),
        ),
        ("portrait", Asked(subjects=(AskedSubject(kind="person"),), framing="portrait")),
        ("a close-up of a cat", Asked(subjects=(AskedSubject(kind="cat", size="large"),))),
        ("一只 cat on a roof", Asked(subjects=(CAT,), place="rooftop")),
    ],
)  # fmt: skip
def test_plain_prompts(prompt: str, asked: Asked) -> None:
    assert read(prompt) == asked


@pytest.mark.parametrize(
    ("prompt", "kinds", "unknown"),
    [
        ("a wyvern and a cat", ["cat"], ("wyvern",)),
        ("кошка, a café and a cat", ["cat"], ("кошка", "café")),
        ("a glass of milk", [], ("glass", "milk")),
        ("一杯牛奶", [], ("牛", "奶")),  # not a cow
        ("电视机前的猫", ["cat"], ("电", "视", "机", "前")),
    ],
)
def test_unknown_words_are_left_alone(prompt: str, kinds: list[str], unknown: tuple[str, ...]) -> None:
    asked = read(prompt)
    assert [subject.kind for subject in asked.subjects] == kinds
    assert set(asked.unknown) == set(unknown)


def told_subjects(telling: Telling) -> list[tuple[str, ...]]:
    """Return kind, count and side of each named subject, as far as they are told."""
    told = telling.told
    found = []
    for subject in telling.subjects:
        count = subject.count if subject.count == 1 or "count" in told else None
        found.append((subject.kind, str(count), str(subject.side if "side" in told else None)))
    return sorted(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_that_nobody_looked_at_are_read_right(language: Language) -> None:
    wrong, parts_wrong, untrue = [], [], []
    for seed in range(2000):
        scene = draw_framed(5_000_000 + seed, split="any")
        rng = random.Random(f"reading {seed}")
        telling = draw_telling(scene, rng)
        text = say(telling, rng, language)
        asked = read(text)
        found = sorted((subject.kind, str(subject.count), str(subject.side)) for subject in asked.subjects)
        told = {
            name: getattr(scene, name) if name in telling.told else None
            for name in ("place", "hour", "weather")
        }
        if found != told_subjects(telling) or asked.place != told["place"] or asked.unknown:
            wrong.append(text)
        worn = [subject.accessory if "accessory" in telling.told else None for subject in telling.subjects]
        if (asked.hour, asked.weather) != (told["hour"], told["weather"]) or sorted(map(str, worn)) != sorted(
            str(subject.accessory) for subject in asked.subjects
        ):
            parts_wrong.append(text)
        started = read(prefix(text, rng, language))
        kinds = {subject.kind for subject in scene.subjects}
        if {subject.kind for subject in started.subjects} - kinds or started.place not in (None, scene.place):
            untrue.append(text)
    assert len(wrong) <= 20, wrong[:5]
    assert len(parts_wrong) <= 20, parts_wrong[:5]
    assert len(untrue) <= 40, untrue[:5]
