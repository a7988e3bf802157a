"""The one picture that a grid becomes: its cells, and what they have in common along the sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from allaprima.core.errors import RequestError
from allaprima.core.grid import Axis

MAX_PIXELS = 2**27
"""Of a sheet: what this program reads again."""
GAP_PX = 8
_MIN_FONT_PX = 14
_FONT_SHARE = 1 / 16
_MOST_LINES = 6
_SIDE_SHARE = 0.7
"""The width of what stands on the left, beside that of a picture, at most."""
_INK, _PAPER, _UNPAINTED = "black", "white", (224, 224, 224)
_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.ttf", "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf",
    "msyh.ttc", "simhei.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "Arial Unicode.ttf",
    "NotoSans-Regular.ttf", "DejaVuSans.ttf", "arial.ttf",
)  # fmt: skip
"""Fonts with the letters that Pillow's own lacks, as systems call their files; the first that has them is taken."""


@dataclass(frozen=True, kw_only=True)
class GridSheet:
    """A drawn grid."""

    image: Image.Image
    """RGB."""
    unshown: tuple[str, ...] = ()
    """Labels with letters that no font here has."""


def check_sheet(axes: Sequence[Axis], cell: tuple[int, int]) -> None:
    """Refuse a sheet of more than `MAX_PIXELS` pixels, before its pictures are painted."""
    columns, rows, blocks = _shape(axes)
    width, height = (columns + 1) * (cell[0] + GAP_PX), (rows + 1) * blocks * (cell[1] + GAP_PX)
    if width * height > MAX_PIXELS:
        raise RequestError(f"got a grid of about {width}x{height} pixels; expected {MAX_PIXELS:,} in all")


def draw_sheet(axes: Sequence[Axis], pictures: Sequence[Image.Image | None]) -> GridSheet:
    """Return the sheet of `pictures`, in the order of `plan_cells`; None for one that was not painted."""
    columns, rows, blocks = _shape(axes)
    sizes = [picture.size for picture in pictures if picture is not None] or [(64, 64)]
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    font_px = max(_MIN_FONT_PX, round(width * _FONT_SHARE))
    labels = [[axis.label(value) for value in axis.values] for axis in axes]
    tops = [_wrap(label, font_px, width) for label in labels[0]]
    sides = (
        [_wrap(label, font_px, round(width * _SIDE_SHARE)) for label in labels[1]]
        if rows > 1 or axes[1:]
        else [""]
    )
    titles = labels[2] if axes[2:] else []
    left = max((_measure(side, font_px)[0] for side in sides), default=0)
    left += 2 * GAP_PX if left else 0
    head = max(_measure(top, font_px)[1] for top in tops) + 2 * GAP_PX
    title = 2 * font_px + GAP_PX if titles else 0
    block_height = title + head + rows * (height + GAP_PX)
    image = Image.new("RGB", (left + columns * (width + GAP_PX), blocks * block_height), _PAPER)
    draw = ImageDraw.Draw(image)
    for block in range(blocks):
        at = block * block_height
        if titles:
            _write(
                draw,
                (GAP_PX, at + GAP_PX),
                _cut(titles[block], font_px * 1.3, image.width),
                font_px * 1.3,
                "la",
            )
        for column, top in enumerate(tops):
            x = left + column * (width + GAP_PX) + width / 2
            _write(draw, (x, at + title + head - GAP_PX), top, font_px, "md")
        for row, side in enumerate(sides):
            y = at + title + head + row * (height + GAP_PX)
            _write(draw, (left - GAP_PX, y + height / 2), side, font_px, "rm")
            for column in range(columns):
                picture = pictures[(block * rows + row) * columns + column]
                place = (left + column * (width + GAP_PX), y)
                if picture is None:
                    draw.rectangle((*place, place[0] + width - 1, place[1] + height - 1), fill=_UNPAINTED)
                else:
                    image.paste(picture, place)
    unshown = tuple(label for side in labels for label in side if not _shows(_font(label, font_px), label))
    return GridSheet(image=image, unshown=unshown)


def _shape(axes: Sequence[Axis]) -> tuple[int, int, int]:
    counts = [*(len(axis.values) for axis in axes), 1, 1]
    return counts[0], counts[1], counts[2]


def _wrap(text: str, font_px: float, width: int) -> str:
    """Return `text` in lines of at most `width` pixels; its end is left out where they would be too many."""
    lines = [""]
    for word in _words(text):
        longer = lines[-1] + word
        if lines[-1].strip() and _measure(longer.rstrip(), font_px)[0] > width:
            lines.append(word.lstrip())
        else:
            lines[-1] = longer
    lines = [_cut(line.strip(), font_px, width) for line in lines]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], _cut(lines[_MOST_LINES - 1] + " ...", font_px, width)]
    return "\n".join(lines)


def _words(text: str) -> list[str]:
    """Return the pieces between which a line may break: behind blanks, and behind each letter that is wide."""
    pieces = [""]
    for char in text[:2000]:
        pieces[-1] += char
        if char == " " or ord(char) >= 0x2E80:
            pieces.append("")
    return pieces


def _cut(text: str, font_px: float, width: int) -> str:
    """Return as much of `text` as `width` pixels hold."""
    if _measure(text, font_px)[0] <= width:
        return text
    while text and _measure(text + "...", font_px)[0] > width:
        text = text[:-1]
    return text + "..."


def _measure(text: str, font_px: float) -> tuple[int, int]:
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    box = probe.multiline_textbbox((0, 0), text, font=_font(text, font_px))
    return round(box[2]), round(box[3])


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, font_px: float, anchor: str
) -> None:
    align = {"l": "left", "m": "center", "r": "right"}[anchor[0]]
    draw.multiline_text(place, text, fill=_INK, font=_font(text, font_px), anchor=anchor, align=align)


def _font(text: str, font_px: float) -> Any:
    """Return the first font that has all letters of `text`; Pillow's own where none has."""
    fonts = (_named(name, round(font_px)) for name in ("", *_FONTS))
    return next(
        (font for font in fonts if font is not None and _shows(font, text)), _named("", round(font_px))
    )


@lru_cache(maxsize=64)
def _named(name: str, size: int) -> Any:
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


def _shows(font: Any, text: str) -> bool:
    """Return whether `font` has every letter of `text`: what it lacks looks like what no font has."""
    lacking = bytes(font.getmask("\U0010fffe"))
    return all(char.isspace() or char.isascii() or bytes(font.getmask(char)) != lacking for char in set(text))
