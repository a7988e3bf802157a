"""What the tests of the judge share: sprites drawn here, and a tiny judge of coloured squares."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from allaprima.lab.evaluation.judge import Judge, JudgeConfig
from allaprima.lab.scenes.accessories import ICONS
from allaprima.lab.scenes.places import PROP_ICONS
from allaprima.lab.scenes.sprites import SpriteCache, save_sprites
from allaprima.paint.layout.subjects import SUBJECTS

KINDS = (*SUBJECTS, "person")


def _disc(name: str) -> Image.Image:
    """A disc whose colour follows from the name."""
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    picture = Image.new("RGBA", (192, 192))
    ImageDraw.Draw(picture).ellipse((8, 8, 184, 184), fill=(red, green, blue, 255))
    return picture


@pytest.fixture(scope="session")
def sprite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with every icon that a scene of the default style may need."""
    folder = tmp_path_factory.mktemp("sprites")
    icons = [*(info.icon for info in SUBJECTS.values()), *PROP_ICONS, *ICONS.values()]
    save_sprites(folder, "fluent", {icon: _disc(icon) for icon in icons})
    return folder


@pytest.fixture
def sprites(sprite_folder: Path, monkeypatch: pytest.MonkeyPatch) -> SpriteCache:
    """That cache, in the place where code that names none looks for it."""
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(sprite_folder))
    return SpriteCache()


@pytest.fixture
def small_judge() -> Judge:
    """A judge of everything there is, too small to have learned anything."""
    return Judge(JudgeConfig(kinds=KINDS, widths=(4, 6, 8), blocks=(0, 1, 1)))
