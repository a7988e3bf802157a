"""The canvas of a live session: every change whole or not at all, and nothing that does not fit on it."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image
from tests.studio.server.pictures import png_bytes

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.studio.server.live_canvas import LiveCanvas, Region
from allaprima.studio.server.settings import Caps

SIZE = (128, 64)


def filled(level: int = 90) -> LiveCanvas:
    canvas = LiveCanvas(Caps())
    out = io.BytesIO()
    Image.new("RGB", SIZE, (level, level, level)).save(out, "PNG")
    canvas.set_picture(out.getvalue(), SIZE)
    return canvas


def made(canvas: LiveCanvas, strength: float = 0.5) -> InitImage:
    init_image = canvas.to_init_image(SIZE, strength)
    assert init_image is not None
    return init_image


def test_nothing_is_painted_over_at_first_and_after_clearing() -> None:
    canvas = LiveCanvas(Caps())
    assert canvas.to_init_image(SIZE, 0.5) is None
    canvas = filled()
    canvas.clear_picture()
    assert canvas.to_init_image(SIZE, 0.5) is None
    assert canvas.pixels == 0


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_any_size_and_format_covers_the_canvas(file_format: str) -> None:
    canvas = LiveCanvas(Caps())
    canvas.set_picture(png_bytes(300, 90, file_format=file_format), SIZE)
    init_image = made(canvas)
    assert (init_image.width, init_image.height) == SIZE
    assert set(init_image.rgb) <= {0, 1, 89, 90, 91}
    assert canvas.pixels == 128 * 64


def test_regions_replace_what_they_cover_and_nothing_else() -> None:
    canvas, chosen = filled(10), random.Random(0)
    expected = Image.new("RGB", SIZE, (10, 10, 10))
    for number in range(40):
        width, height = chosen.randint(1, 40), chosen.randint(1, 40)
        x, y = chosen.randint(0, 128 - width), chosen.randint(0, 64 - height)
        piece = Image.frombytes("RGB", (width, height), chosen.randbytes(3 * width * height))
        expected.paste(piece, (x, y))
        raw = number % 2 == 0
        region = Region(x=x, y=y, width=width, height=height, raw=raw)
        canvas.change_picture(region, piece.convert("RGBA").tobytes() if raw else as_png(piece))
        assert made(canvas).rgb == expected.tobytes()


def test_what_is_transparent_in_a_region_lies_on_white() -> None:
    canvas = filled(10)
    canvas.change_picture(Region(x=0, y=0, width=1, height=1, raw=True), bytes([0, 0, 0, 0]))
    assert made(canvas).rgb[:6] == bytes([255, 255, 255, 10, 10, 10])


def test_a_mask_is_set_changed_and_cleared() -> None:
    canvas = filled()
    canvas.set_mask(as_png(Image.new("L", SIZE, 255)))
    assert made(canvas).mask == b"\xff" * 128 * 64
    canvas.change_mask(Region(x=0, y=0, width=128, height=1, raw=True), bytes(128))
    assert made(canvas).mask == bytes(128) + b"\xff" * 128 * 63
    canvas.clear_mask()
    assert made(canvas).mask is None
    canvas.change_mask(Region(x=4, y=0, width=1, height=1, raw=True), b"\xff")
    assert made(canvas).mask == bytes(4) + b"\xff" + bytes(128 * 64 - 5)


def test_a_mask_that_is_transparent_where_it_is_painted_is_read_too() -> None:
    canvas = filled()
    drawn = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    drawn.paste((0, 0, 0, 0), (0, 0, 64, 64))
    canvas.set_mask(as_png(drawn))
    assert made(canvas).mask == (b"\xff" * 64 + bytes(64)) * 64


def test_a_mask_goes_with_its_picture_and_stays_under_a_new_one_of_its_size() -> None:
    canvas = filled()
    canvas.set_mask(as_png(Image.new("L", SIZE, 255)))
    canvas.set_picture(png_bytes(16, 16), SIZE)
    assert made(canvas).mask is not None
    canvas.set_picture(png_bytes(16, 16), (256, 256))
    assert made(canvas).mask is None
    canvas.clear_picture()
    with pytest.raises(RequestError, match="a mask without a picture"):
        canvas.set_mask(png_bytes())


def test_what_does_not_change_stays_the_very_same_levels() -> None:
    canvas = filled()
    first = made(canvas, 0.5)
    assert made(canvas, 0.5) is first
    assert made(canvas, 0.7).rgb is first.rgb
    assert made(canvas, 0.7).strength == 0.7


def test_another_size_is_cut_from_the_canvas_which_stays_as_it_is() -> None:
    canvas = filled()
    first = made(canvas)
    small = canvas.to_init_image((64, 64), 0.5)
    assert small is not None
    assert (small.width, small.height) == (64, 64)
    assert made(canvas).rgb == first.rgb


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"x": -1, "y": 0, "width": 1, "height": 1}, "x and y from 0"),
        ({"x": 0, "y": 0, "width": 0, "height": 1}, "width and height from 1"),
        ({"x": 0.5, "y": 0, "width": 1, "height": 1}, "whole numbers"),
        ({"x": True, "y": 0, "width": 1, "height": 1}, "whole numbers"),
        ({"x": 0, "y": None, "width": 1, "height": 1}, "whole numbers"),
        ({"x": 0, "y": float("nan"), "width": 1, "height": 1}, "whole numbers"),
        ({"x": 0, "y": 0, "width": 1, "height": 1, "raw": "yes"}, "true or false"),
    ],
)
def test_rectangles_that_are_none_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Region(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "data", "says"),
    [
        (Region(x=0, y=0, width=129, height=1, raw=True), bytes(4 * 129), "inside 128x64"),
        (Region(x=127, y=63, width=2, height=1, raw=True), bytes(8), "inside 128x64"),
        (Region(x=2**70, y=0, width=2**70, height=1, raw=True), b"", "inside 128x64"),
        (Region(x=0, y=0, width=2, height=2, raw=True), bytes(15), "15 bytes; expected 16"),
        (Region(x=0, y=0, width=2, height=2, raw=True), bytes(17), "17 bytes; expected 16"),
        (Region(x=0, y=0, width=2, height=2), png_bytes(3, 2), "3x2; expected 2x2"),
        (Region(x=0, y=0, width=2, height=2), b"no picture", "that is text"),
    ],
)
def test_a_region_that_cannot_be_used_changes_nothing(region: Region, data: bytes, says: str) -> None:
    canvas = filled()
    before = made(canvas)
    for change in (canvas.change_picture, canvas.change_mask):
        with pytest.raises(RequestError, match=says.replace("16", "(16|4)")):
            change(region, data)
    assert made(canvas) is before


@pytest.mark.parametrize("data", [b"", b"GIF89a", png_bytes()[:40], b"RIFF\0\0\0\0WEBPVP8 "])
def test_a_file_that_cannot_be_used_changes_nothing(data: bytes) -> None:
    canvas = filled()
    before = made(canvas)
    with pytest.raises(RequestError, match="expected a PNG, JPEG, WebP"):
        canvas.set_picture(data, SIZE)
    with pytest.raises(RequestError, match="expected a PNG, JPEG, WebP"):
        canvas.set_mask(data)
    assert made(canvas) is before


def test_a_picture_of_20000_a_side_is_refused_before_it_is_decoded() -> None:
    head = bytearray(png_bytes(1, 1))
    head[16:24] = (20_000).to_bytes(4, "big") * 2
    head[29:33] = zlib_crc(bytes(head[12:29]))
    with pytest.raises(RequestError, match="too many pixels; expected at most 16,777,216"):
        filled().set_picture(bytes(head), SIZE)


def test_a_mask_that_keeps_everything_is_told() -> None:
    canvas = filled()
    canvas.set_mask(as_png(Image.new("L", SIZE, 0)))
    with pytest.raises(RequestError, match="keeps every pixel"):
        made(canvas)


def as_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def zlib_crc(data: bytes) -> bytes:
    import zlib

    return zlib.crc32(data).to_bytes(4, "big")
