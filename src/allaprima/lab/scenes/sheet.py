"""Contact sheets: many scenes on one picture, each with its caption, to judge the renderer by eye."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache

_MARGIN = 6
_PAPER = (250, 248, 244)
_INK = (44, 44, 52)


def contact_sheet(
    scenes: Sequence[Scene],
    captions: Sequence[str],
    sprites: SpriteCache,
    *,
    columns: int = 6,
    size: int = 256,
) -> Image.Image:
    """Lay the scenes in rows of `columns`, each `size` pixels wide, with its caption below."""
    font = ImageFont.load_default(size=max(9, size // 20))
    text_height = 3 * max(12, size // 16)
    rows = -(-len(scenes) // columns)
    cell, row_height = size + _MARGIN, size + text_height + _MARGIN
    sheet = Image.new("RGB", (columns * cell + _MARGIN, rows * row_height + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, (scene, caption) in enumerate(zip(scenes, captions, strict=True)):
        x = _MARGIN + index % columns * cell
        y = _MARGIN + index // columns * row_height
        sheet.paste(Image.fromarray(render_scene(scene, sprites, size).image), (x, y))
        pen.multiline_text(
            (x + 2, y + size + 3), _wrap(caption, font, size - 4), fill=_INK, font=font, spacing=2
        )
    return sheet


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Break the text into at most three lines of at most `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines[:3])
