"""Scenes are drawn the same everywhere, with the shares that are asked for, and held-out pairs stay out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.lab.scenes.draw import WITHOUT_WEATHER, Split, draw_scene
from allaprima.lab.scenes.holdout import is_heldout, is_heldout_subject
from allaprima.lab.scenes.spec import Scene
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.subjects import SUBJECTS


@given(seed=st.integers(), split=st.sampled_from(["train", "heldout", "any"]))
def test_scenes_make_sense(seed: int, split: Split) -> None:
    scene = draw_scene(seed, split=split)
    assert scene == draw_scene(seed, split=split)
    assert scene.seed == seed
    sides = {1: ["middle"], 2: ["left", "right"], 3: ["left", "middle", "right"]}
    assert [subject.side for subject in scene.subjects] == sides[len(scene.subjects)]
    assert len({subject.kind for subject in scene.subjects}) == len(scene.subjects)
    assert scene.weather == "clear" or scene.place not in WITHOUT_WEATHER
    assert scene.hour == "night" or scene.place != "space"
    for subject in scene.subjects:
        assert (subject.kind == PERSON) == (subject.person is not None)
        assert subject.person is not None or subject.kind in SUBJECTS
        alone = len(scene.subjects) == 1 and subject.count == 1
        assert subject.size == "medium" or alone
        assert subject.count == 1 or (len(scene.subjects) == 1 and subject.person is None)
        if subject.accessory:
            assert subject.count <= 2
            assert subject.person is not None or SUBJECTS[subject.kind].wears
            assert not (subject.accessory == "sunglasses" and subject.person and subject.person.glasses)


def test_splits_keep_their_word() -> None:
    for seed in range(200):
        assert not is_heldout(draw_scene(seed, split="train"))
        heldout = draw_scene(seed, split="heldout")
        assert is_heldout(heldout)
        assert is_heldout_subject(heldout.subjects[0], heldout.place)


def test_a_split_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="'test'; expected one of train, heldout, any"):
        draw_scene(0, split="test")  # type: ignore[arg-type]


def test_style_changes_nothing_else() -> None:
    assert draw_scene(7, style="line") == replace(draw_scene(7), style="line")


def test_shares_are_the_ones_asked_for(scenes: list[Scene]) -> None:
    numbers = Counter(len(scene.subjects) for scene in scenes)
    assert [numbers[n] / len(scenes) for n in (1, 2, 3)] == pytest.approx([0.62, 0.28, 0.10], abs=0.03)
    people = sum(any(subject.person for subject in scene.subjects) for scene in scenes)
    assert people / len(scenes) == pytest.approx(0.20, abs=0.03)
    outside = [scene.weather for scene in scenes if scene.place not in WITHOUT_WEATHER]
    assert outside.count("clear") / len(outside) == pytest.approx(0.55, abs=0.03)
    assert {subject.kind for scene in scenes for subject in scene.subjects} == {*SUBJECTS, PERSON}
    assert all(
        count / len(scenes) == pytest.approx(1 / 16, abs=0.015)
        for count in Counter(s.place for s in scenes).values()
    )


def test_scenes_do_not_depend_on_the_process() -> None:
    program = (
        "import json, dataclasses; from allaprima.lab.scenes.draw import draw_scene; "
        "print(json.dumps([dataclasses.asdict(draw_scene(s, split='heldout')) for s in range(5)]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    here = [asdict(draw_scene(seed, split="heldout")) for seed in range(5)]
    assert json.loads(result.stdout) == json.loads(json.dumps(here))
