"""Things, people and accessories in every style."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from tests.lab.scenes.rendered import person, scene

from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Style, Subject
from allaprima.lab.scenes.sprites import SpriteCache


@pytest.mark.parametrize("style", get_args(Style))
def test_every_style_paints_things_people_and_accessories(sprites: SpriteCache, style: Style) -> None:
    subjects = (Subject(kind="cat", side="left", accessory="top hat"), replace(person(), side="right"))
    rendered = render_scene(scene(*subjects, style=style), sprites)
    assert (rendered.boxes[:, 2] > rendered.boxes[:, 0]).all()
    assert rendered.image.std() > 15


def test_a_bust_reaches_the_lower_edge(sprites: SpriteCache) -> None:
    for seed in range(4):
        assert render_scene(scene(person(seed), seed=seed), sprites).boxes[0][3] == 256
