"""Accessories sit on who wears them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from tests.lab.scenes.rendered import person, scene

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Accessory


@pytest.mark.parametrize("accessory", get_args(Accessory))
def test_an_accessory_is_part_of_its_wearer(sprites: SpriteCache, accessory: Accessory) -> None:
    for subject in (Subject(kind="dog"), person(2)):
        bare, worn = (
            render_scene(scene(replace(subject, accessory=item)), sprites) for item in (None, accessory)
        )
        assert not np.array_equal(bare.image, worn.image)
        differs = np.abs(bare.image.astype(int) - worn.image.astype(int)).sum(axis=-1) > 60
        assert (differs & (worn.masks[0] > 0)).sum() > 50


def test_every_kind_that_wears_something_has_a_head() -> None:
    assert set(HEADS) == {kind for kind, info in SUBJECTS.items() if info.wears}
