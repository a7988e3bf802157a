"""Framing: portraits, and things anywhere."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tests.lab.scenes.plainly import full_caption

from allaprima.lab.scenes.captions import caption, describe
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.framing import draw_framed, portrait_of
from allaprima.lab.scenes.holdout import is_heldout
from allaprima.lab.scenes.layout import spots_of
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Language

CAT = Scene(seed=3, subjects=(Subject(kind="cat"),), place="meadow", hour="day", weather="clear")


def portrait(seed: int = 0) -> Scene:
    return portrait_of(replace(CAT, seed=seed), random.Random(seed))


def test_a_share_of_scenes_are_portraits_and_the_rest_as_usual() -> None:
    framed = [draw_framed(seed) for seed in range(600)]
    counts = Counter(scene.framing for scene in framed)
    assert 0.15 < counts["portrait"] / len(framed) < 0.25
    assert counts["scene"] > counts["anywhere"] > counts["portrait"]
    for scene in framed:
        if scene.framing == "scene":
            assert scene == draw_scene(scene.seed)
    assert not any(map(is_heldout, framed))
    assert all(is_heldout(draw_framed(seed, split="heldout")) for seed in range(60))


def test_a_portrait_is_of_one_head_that_fills_most_of_the_picture(sprites: SpriteCache) -> None:
    for seed in range(6):
        rendered = render_scene(portrait(seed), sprites)
        assert (rendered.masks[0] > 128).mean() > 0.4
        person = next(thing for thing in rendered.things if thing.layer == "subject")
        face = next(thing for thing in rendered.things if thing.kind == "face")
        assert person.box.bottom > 1
        assert person.box.left < face.box.left < face.box.right < person.box.right
        assert 0.4 < face.box.height < 0.95
        assert face.box.top < 0.5 < face.box.bottom


@pytest.mark.parametrize(
    ("language", "words"), [("en", "a close-up portrait of a person"), ("zh", "人的特写")]
)
def test_captions_say_that_it_is_a_portrait(language: Language, words: str) -> None:
    assert words in full_caption(portrait(), language)
    told = [describe(portrait(), random.Random(seed), language).said for seed in range(200)]
    assert 0.65 < np.mean(["framing" in said for said in told]) < 0.9
    assert "framing" not in describe(CAT, random.Random(0), language).said


def test_captions_of_other_scenes_are_as_usual() -> None:
    anywhere = replace(CAT, framing="anywhere")
    for seed in range(40):
        assert caption(anywhere, random.Random(seed)) == caption(CAT, random.Random(seed))


def test_things_anywhere_reach_every_part_of_the_picture() -> None:
    feet, middles = [], []
    for seed in range(200):
        (spot,) = spots_of(replace(CAT, seed=seed, framing="anywhere"))
        assert spot.width / 2 <= spot.x + 0.05
        assert 0 < spot.height <= spot.foot + 0.05 <= 1.05
        feet.append(spot.foot)
        middles.append(spot.x)
    assert min(feet) < 0.45
    assert min(middles) < 0.25
    assert max(middles) > 0.75


def test_things_anywhere_keep_to_their_sides_and_apart() -> None:
    subjects = (
        Subject(kind="cat", side="left"),
        Subject(kind="dog", side="middle"),
        Subject(kind="car", side="right"),
    )
    for seed in range(30):
        spots = spots_of(replace(CAT, seed=seed, framing="anywhere", subjects=subjects))
        assert [spot.subject for spot in sorted(spots, key=lambda spot: spot.x)] == [0, 1, 2]
    many = replace(CAT, framing="anywhere", subjects=(Subject(kind="cat", count=4),))
    assert len(spots_of(many)) == 4
