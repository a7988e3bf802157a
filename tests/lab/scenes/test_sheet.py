"""A sheet of scenes."""

from __future__ import annotations

from tests.lab.scenes.rendered import scene

from allaprima.lab.scenes.sheet import contact_sheet
from allaprima.lab.scenes.sprites import SpriteCache


def test_a_sheet_holds_all_its_scenes(sprites: SpriteCache) -> None:
    scenes = [scene(seed=seed) for seed in range(5)]
    sheet = contact_sheet(
        scenes, ["a cat with a caption that takes more than a line"] * 5, sprites, columns=3, size=64
    )
    assert sheet.width == 3 * (64 + 6) + 6
    assert sheet.height > 2 * 64
