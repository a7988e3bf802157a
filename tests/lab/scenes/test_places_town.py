"""Every place of the town is a picture of its own at every hour."""

from __future__ import annotations

import pytest
from tests.lab.scenes.rendered import places_of, require_hours_of_their_own

from allaprima.lab.scenes import places_town
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Place


@pytest.mark.parametrize("place", places_of(places_town))
def test_every_hour_is_a_picture_of_its_own(sprites: SpriteCache, place: Place) -> None:
    require_hours_of_their_own(place, sprites)
