"""One rule reads the masks of all programs: transparent paints where a mask is transparent, else white paints."""

from __future__ import annotations

import pytest
from PIL import Image

from allaprima.core.image_modes import is_transparent, to_mask


def test_white_paints_where_nothing_is_transparent() -> None:
    for mode, white, black in (
        ("L", 255, 0),
        ("RGB", (255,) * 3, (0,) * 3),
        ("RGBA", (255,) * 4, (0, 0, 0, 255)),
    ):
        mask = Image.new(mode, (2, 1), black)
        mask.putpixel((0, 0), white)
        assert to_mask(mask).tobytes() == b"\xff\x00", mode
    assert to_mask(Image.new("1", (1, 1), 1)).tobytes() == b"\xff"
    assert to_mask(Image.new("I;16", (1, 1), 0x8000)).tobytes() == b"\x80"


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_transparent_paints_whatever_its_colour(colour: tuple[int, int, int]) -> None:
    mask = Image.new("RGBA", (3, 1), (*colour, 255))
    mask.putpixel((1, 0), (*colour, 0))
    mask.putpixel((2, 0), (*colour, 155))
    assert is_transparent(mask)
    assert to_mask(mask).tobytes() == bytes([0, 255, 100])


def test_a_palette_may_be_transparent_too() -> None:
    mask = Image.new("P", (2, 1), 0)
    mask.putpixel((1, 0), 1)
    mask.info["transparency"] = 1
    assert to_mask(mask).tobytes() == b"\x00\xff"
