"""A tiny sprite cache, drawn here: tests have no icon packages."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from allaprima.lab.scenes.accessories import HEADS, ICONS
from allaprima.lab.scenes.build import fill_outline
from allaprima.lab.scenes.places import PROP_ICONS
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SpriteCache, rasterise, save_sprites
from allaprima.paint.layout.subjects import SUBJECTS

STYLES: tuple[Style, ...] = get_args(Style)
BALL = '<circle cx="16" cy="16" r="13" fill="{fill}" stroke="{edge}" stroke-width="2"/>'
BLOCK = '<rect x="3" y="7" width="26" height="20" fill="#c03a78"/>'


def make_sprites(folder: Path) -> SpriteCache:
    """Build a cache of every prop, accessory and head, and of a car, in all styles."""
    icons = {SUBJECTS[kind].icon: BALL for kind in HEADS}
    icons |= dict.fromkeys((SUBJECTS["car"].icon, *PROP_ICONS, *ICONS.values()), BLOCK)
    colors = ("#e8a23c", "#58b0e0", "#ffffff", "#7cc45a")
    edges = ("#884422", "#224488", "#000000", "#226622")
    for number, style in enumerate(STYLES):
        pictures = {}
        for name, body in icons.items():
            fill = "none" if style == "line" else colors[number % len(colors)]
            body = body.format(fill=fill, edge=edges[number % len(edges)])
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>'
            picture = rasterise(svg)
            pictures[name] = fill_outline(picture) if style == "line" else picture
        save_sprites(folder, style, pictures)
    return SpriteCache(folder)


@pytest.fixture(scope="session")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> SpriteCache:
    """A cache with enough in it for scenes of heads, people and cars."""
    return make_sprites(tmp_path_factory.mktemp("sprites"))
