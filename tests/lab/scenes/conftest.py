"""What these tests share."""

from __future__ import annotations

import pytest

from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.spec import Scene


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    return [draw_scene(seed, split="any") for seed in range(2500)]
