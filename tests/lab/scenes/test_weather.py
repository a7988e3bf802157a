"""Weather shows."""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.scenes.rendered import scene

from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Weather


@pytest.mark.parametrize("weather", ["rain", "snow", "fog"])
def test_weather_shows(sprites: SpriteCache, weather: Weather) -> None:
    clear, other = (render_scene(item, sprites) for item in (scene(), scene(weather=weather)))
    assert np.array_equal(clear.masks, other.masks)
    assert np.abs(clear.image.astype(int) - other.image.astype(int)).mean() > 8
