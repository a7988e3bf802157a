"""Sprites: small pictures of icons, rasterised once and kept in a cache folder.

One style is two files: `sprites-fluent.npy`, a (n, 192, 192, 4) array of uint8 RGBA that is mapped into
memory and so shared by all processes, and `sprites-fluent.json`, the names of its rows. Names are those of
Fluent Emoji in every style. Large ones have 384 pixels a side. The files are made by
:mod:`allaprima.lab.scenes.build`.

    sprites = SpriteCache()
    cat = sprites.sized("cat-face", "fluent", width=150, height=150)
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from allaprima.core.errors import AssetError
from allaprima.core.lru import LruCache
from allaprima.core.user_paths import default_cache_dir
from allaprima.lab.scenes.spec import Style
from allaprima.paint.layout.figures import fitted_size

Made = TypeVar("Made")

SPRITE_SIZE = 192
LARGE_SPRITE_SIZE = 384
"""Side of the sprites for pictures of 512 pixels, in which the usual ones would be soft."""
MEMO_LIMIT = 1024


def large_cache_dir() -> Path:
    """Return the folder of the large sprites, inside the cache folder."""
    return default_cache_dir() / "large"


def sprite_paths(cache_dir: Path, style: Style) -> tuple[Path, Path]:
    """Return where a style's pixels and names lie."""
    return cache_dir / f"sprites-{style}.npy", cache_dir / f"sprites-{style}.json"


def save_sprites(cache_dir: Path, style: Style, pictures: dict[str, Image.Image]) -> None:
    """Write the cache of one style from square RGBA pictures of one size, by name."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    pixels_path, names_path = sprite_paths(cache_dir, style)
    pixels = np.stack([np.asarray(picture.convert("RGBA"), dtype=np.uint8) for picture in pictures.values()])
    part = pixels_path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, pixels)
    part.replace(pixels_path)
    names_path.write_text(json.dumps(list(pictures)) + "\n", encoding="utf-8")


def rasterise(svg: str, size: int = SPRITE_SIZE) -> Image.Image:
    """Paint an SVG document into a square RGBA picture. Needs the `lab` extra (resvg)."""
    import resvg_py

    data = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    # A drawing that is not square keeps its proportion and stands in the middle.
    return (
        ImageOps.pad(picture, (size, size), color=(0, 0, 0, 0)) if picture.size != (size, size) else picture
    )


class SpriteCache:
    """The sprites of all styles, trimmed to what is visible, at any size.

    Opening is lazy: a style is mapped when it is first asked for. Resized sprites are remembered up to a
    limit. Pictures handed out are shared: copy before changing one.

    Raises:
        AssetError: a style or an icon is not in the cache.
    """

    def __init__(self, cache_dir: Path | None = None) -> None:
        self.cache_dir = cache_dir if cache_dir is not None else default_cache_dir()
        self._styles: dict[Style, tuple[dict[str, int], NDArray[np.uint8]]] = {}
        self._whole: dict[tuple[str, Style], Image.Image] = {}
        self._memo = LruCache[Hashable, Any](max_count=MEMO_LIMIT)

    def _style(self, style: Style) -> tuple[dict[str, int], NDArray[np.uint8]]:
        if style not in self._styles:
            pixels_path, names_path = sprite_paths(self.cache_dir, style)
            if not pixels_path.is_file() or not names_path.is_file():
                build = "prima scenes build" + " --large" * (self.cache_dir == large_cache_dir())
                raise AssetError(
                    f"no sprites of style {style!r} in {self.cache_dir}; make them with `{build}`"
                )
            names = json.loads(names_path.read_text(encoding="utf-8"))
            pixels = np.load(pixels_path, mmap_mode="r")
            self._styles[style] = ({name: row for row, name in enumerate(names)}, pixels)
        return self._styles[style]

    def icons(self, style: Style) -> tuple[str, ...]:
        """Return the names of the icons a style has."""
        return tuple(self._style(style)[0])

    def whole(self, icon: str, style: Style) -> Image.Image:
        """Return one icon as it was rasterised, cut to its visible pixels, RGBA."""
        key = (icon, style)
        if key not in self._whole:
            rows, pixels = self._style(style)
            if icon not in rows:
                raise AssetError(
                    f"icon {icon!r} is not among the {len(rows)} sprites of style {style!r}; "
                    "make them anew with `prima scenes build`"
                )
            self._whole[key] = trim(Image.fromarray(np.asarray(pixels[rows[icon]])))
        return self._whole[key]

    def sized(self, icon: str, style: Style, *, width: int, height: int, flip: bool = False) -> Image.Image:
        """Return one icon scaled, in proportion, to the largest size that fits into width x height pixels."""

        def make() -> Image.Image:
            picture = fit(self.whole(icon, style), width=width, height=height)
            return ImageOps.mirror(picture) if flip else picture

        return self.memo((icon, style, width, height, flip), make)

    def memo(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return the cached value of a key, made where there is none."""
        value: Made = self._memo.get_or_make(key, make)
        return value


def trim(picture: Image.Image) -> Image.Image:
    """Cut an RGBA picture to the box of its visible pixels (alpha above 24 of 255)."""
    return picture.crop(visible_box(picture))


def visible_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """Return the box of an RGBA picture's visible pixels (alpha above 24 of 255); all of it if there are none."""
    return picture.getchannel("A").point(_VISIBLE).getbbox() or (0, 0, *picture.size)


def fit(picture: Image.Image, *, width: int, height: int) -> Image.Image:
    """Scale a picture, in proportion, to the largest size that fits into width x height pixels."""
    return picture.resize(fitted_size(picture.size, (width, height)), Image.Resampling.LANCZOS)


_VISIBLE = [0] * 25 + [255] * 231
