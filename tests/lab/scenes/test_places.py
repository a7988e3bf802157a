"""Places: which there are, and that seeds change them."""

from __future__ import annotations

from typing import get_args

import numpy as np
from tests.lab.scenes.rendered import scene

from allaprima.lab.scenes.places import PLACES
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Place


def test_the_seed_changes_the_place(sprites: SpriteCache) -> None:
    first, second = (render_scene(scene(seed=seed), sprites).image for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_the_places_are_those_of_the_spec() -> None:
    assert set(PLACES) == set(get_args(Place))
