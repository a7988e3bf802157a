"""Masks: edges that keep what was kept, the box of what is painted, and what fills it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw

from allaprima.core.errors import RequestError
from allaprima.core.mask import cut_box, feather, fill_painted, painted_box


def disc(side: int = 64, radius: int = 20) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    middle = side // 2
    ImageDraw.Draw(mask).ellipse(
        (middle - radius, middle - radius, middle + radius, middle + radius), fill=255
    )
    return mask


@pytest.mark.parametrize("width", [0, 1, 2, 8, 64])
def test_a_feather_never_touches_what_is_kept(width: int) -> None:
    mask = disc()
    edged = feather(mask, width)
    hard, soft = np.asarray(mask), np.asarray(edged)
    assert (soft[hard == 0] == 0).all()
    assert (soft[hard == 255] > 0).all()
    assert (soft <= hard).all()


def test_a_feather_rises_evenly_from_the_edge() -> None:
    mask = Image.new("L", (12, 3), 0)
    mask.paste(255, (4, 0, 12, 3))
    rising = [feather(mask, 4).getpixel((x, 1)) for x in range(12)]
    assert rising == [0] * 4 + [63, 127, 191] + [255] * 5
    with pytest.raises(RequestError, match="got a feather of 65 pixels; expected 0 to 64"):
        feather(mask, 65)


@pytest.mark.parametrize("thick", [1, 2, 3, 6, 15])
def test_what_is_thin_is_painted_in_its_middle(thick: int) -> None:
    """A wire is to go, not to shine through at an eighth."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 20, 64, 20 + thick))
    column = [feather(mask, 8).getpixel((32, y)) for y in range(64)]
    assert column[20 + thick // 2] == 255
    assert not any(column[:20] + column[20 + thick :])
    grey = mask.point(lambda level: level // 2)
    assert feather(grey, 8).getextrema() == (0, 127)


def test_the_painted_box_has_the_shape_asked_for_and_lies_inside() -> None:
    mask = Image.new("L", (100, 80), 0)
    mask.paste(255, (10, 10, 30, 20))
    assert painted_box(mask, padding=5, size=(256, 256)) == (5, 0, 35, 30)
    assert painted_box(mask, padding=0, size=(512, 256)) == (10, 10, 30, 20)
    assert painted_box(mask, padding=0, size=(256, 512)) == (10, 0, 30, 40)
    assert painted_box(mask, padding=60, size=(1, 1)) == (0, -5, 90, 85)  # higher than the picture
    with pytest.raises(RequestError, match="keeps every pixel"):
        painted_box(Image.new("L", (4, 4), 0), padding=0, size=(1, 1))


def test_a_padding_ends_where_the_picture_does() -> None:
    """A padding of thousands of pixels is the whole picture, not a window of hundreds of megapixels."""
    mask = Image.new("L", (100, 80), 0)
    mask.putpixel((50, 40), 255)
    assert painted_box(mask, padding=4096, size=(5, 4)) == (0, 0, 100, 80)
    assert painted_box(mask, padding=4096, size=(256, 256)) == (0, -10, 100, 90)


def test_a_box_inside_the_picture_is_cut_as_it_is() -> None:
    picture = Image.effect_noise((60, 40), 80).convert("RGB")
    part, painted = cut_box(picture, Image.new("L", (60, 40), 255), (0, 4, 60, 40), fill=False)
    assert part.tobytes() == picture.crop((0, 4, 60, 40)).tobytes()
    assert painted.getextrema() == (255, 255)


def test_a_window_far_larger_than_its_picture_is_refused() -> None:
    """Of a high picture and a size like a ribbon: to fill it would take tens of gigabytes."""
    mask = Image.new("L", (8, 4096), 255)
    box = painted_box(mask, padding=0, size=(2048, 64))
    with pytest.raises(
        RequestError, match=r"got a window of 131072x4096 pixels .* expected at most 33,554,432"
    ):
        cut_box(Image.new("RGB", mask.size), mask, box, fill=False)


def test_what_is_painted_is_filled_by_the_colours_around_it() -> None:
    picture = Image.new("RGB", (64, 32), (200, 0, 0))
    picture.paste((0, 0, 200), (32, 0, 64, 32))
    mask = Image.new("L", (64, 32), 0)
    mask.paste(255, (16, 8, 48, 24))
    filled = fill_painted(picture, mask)
    pixels, kept = np.asarray(filled), np.asarray(mask) == 0
    assert (pixels[kept] == np.asarray(picture)[kept]).all()
    left, right = pixels[16, 17], pixels[16, 46]
    assert left[0] > 150 > 60 > left[2]
    assert right[2] > 150 > 60 > right[0]


def test_colours_beside_an_edge_are_those_of_the_edge() -> None:
    """A side that is added to a picture begins with the picture's own rows, wherever the edge lies."""
    for edge in (31, 32, 37):
        picture, mask = Image.new("RGB", (64, 64)), Image.new("L", (64, 64), 255)
        rows = np.zeros((64, 64, 3), np.uint8)
        rows[:, :, 0] = np.arange(64)[:, None] * 4
        picture.paste(Image.fromarray(rows), (0, 0))
        mask.paste(0, (0, 0, edge, 64))
        filled = np.asarray(fill_painted(picture, mask)).astype(int)
        assert abs(filled[4:-4, edge, 0] - rows[4:-4, 0, 0]).max() <= 12, edge


def test_nothing_known_is_filled_with_nothing() -> None:
    assert fill_painted(Image.new("RGB", (5, 3), "red"), Image.new("L", (5, 3), 255)).size == (5, 3)


def test_a_large_picture_is_filled_in_little_memory() -> None:
    side = 512
    picture, mask = Image.new("RGB", (side, side), "red"), Image.new("L", (side, side), 0)
    mask.paste(255, (8, 8, side - 8, side - 8))
    tracemalloc.start()
    fill_painted(picture, mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * side**2
