from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.image_modes import to_rgb
from allaprima.core.init_image import InitImage


def test_pixels_and_strength_are_checked() -> None:
    with pytest.raises(RequestError, match="got 3 bytes for a 2x2 picture; expected 12"):
        InitImage(width=2, height=2, rgb=bytes(3))
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(RequestError, match="expected 0 to 1"):
            InitImage(width=1, height=1, rgb=bytes(3), strength=strength)


def test_a_mask_has_a_byte_for_each_pixel_and_paints_some() -> None:
    masked = InitImage(width=2, height=1, rgb=bytes(6), mask=b"\x00\x01")
    assert masked.mask == b"\x00\x01"
    assert InitImage(width=2, height=1, rgb=bytes(6)).mask is None
    with pytest.raises(RequestError, match="got a mask of 3 bytes for a 2x1 picture; expected 2"):
        InitImage(width=2, height=1, rgb=bytes(6), mask=bytes(3))
    with pytest.raises(RequestError, match="keeps every pixel"):
        InitImage(width=2, height=1, rgb=bytes(6), mask=bytes(2))


def test_a_mask_is_cut_with_its_picture() -> None:
    image, mask = Image.new("RGB", (4, 2), "red"), Image.new("L", (4, 2), 0)
    mask.paste(255, (1, 0, 2, 2))
    assert InitImage.from_image(image, width=2, height=2, mask=mask).mask == b"\xff\x00" * 2
    with pytest.raises(RequestError, match="got a mask of 2x2 pixels; expected 4x2, as the picture has"):
        InitImage.from_image(image, width=2, height=2, mask=mask.crop((0, 0, 2, 2)))
    with pytest.raises(RequestError, match="keeps every pixel"):
        InitImage.from_image(image, width=2, height=2, mask=Image.new("L", (4, 2), 0))


def test_an_image_covers_the_size_and_is_cut_around_its_middle() -> None:
    image = Image.new("RGB", (4, 2), "red")
    image.paste("blue", (1, 0, 3, 2))
    middle = InitImage.from_image(image, width=2, height=2, strength=0.5)
    assert (middle.width, middle.height, middle.strength) == (2, 2, 0.5)
    assert middle.rgb == b"\x00\x00\xff" * 4


def test_a_file_is_opened_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    assert InitImage.open(tmp_path / "turned.png", width=1, height=2).rgb == b"\xff\x00\x00\x00\x00\xff"


def test_a_window_is_cut_scaled_and_filled_beyond_the_picture() -> None:
    picture, mask = Image.new("RGB", (4, 2), "red"), Image.new("L", (4, 2), 0)
    picture.paste("blue", (2, 0, 4, 2))
    mask.putpixel((3, 0), 255)
    window = InitImage.window(picture, mask, (2, 0, 4, 2), width=4, height=4, strength=0.5)
    assert (window.width, window.height, window.strength, window.area) == (4, 4, 0.5, "Only masked")
    assert window.rgb == b"\x00\x00\xff" * 16
    assert window.mask is not None
    assert window.mask[3] == 255
    assert window.mask[12] == 0
    beyond = InitImage.window(picture, mask, (2, -2, 6, 2), width=4, height=4, strength=1.0)
    pixels = [tuple(beyond.rgb[i : i + 3]) for i in range(0, 48, 3)]
    assert pixels[8:10] == pixels[12:14] == [(0, 0, 255)] * 2
    assert all(blue > 100 and red + blue > 240 for red, _, blue in pixels)  # filled by what is near
    assert beyond.mask is not None
    assert list(beyond.mask) == [255] * 8 + [0, 255, 255, 255] + [0, 0, 255, 255]


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off"])
def test_what_is_no_picture_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"cannot be read: .*; expected a PNG, JPEG"):
        InitImage.open(path, width=2, height=2)
    with pytest.raises(PictureError, match="does not exist; expected a picture file"):
        InitImage.open(tmp_path / "nowhere.png", width=2, height=2)


@pytest.mark.parametrize(
    ("rgb", "strength"), [(b"abc", 0.5), (bytes(3 * 128 * 64), 1.5), (bytes(3 * 128 * 64), float("nan"))]
)
def test_what_is_no_picture_or_no_strength_is_refused(rgb: bytes, strength: float) -> None:
    with pytest.raises(RequestError):
        InitImage(width=128, height=64, rgb=rgb, strength=strength)


def test_what_is_transparent_lies_on_white_and_sixteen_bits_become_eight() -> None:
    clear = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert to_rgb(clear).tobytes() == b"\xff\xff\xff"
    grey = Image.new("I;16", (1, 1), 0x8000)
    assert to_rgb(grey).tobytes() == b"\x80\x80\x80"
    assert InitImage.from_image(grey, width=1, height=1).rgb == b"\x80\x80\x80"
    for mode, level in (
        ("I", 128),
        ("I", 0x8000),
        ("I", 2**31 - 2**24),
        ("F", 0.5),
        ("F", 128.0),
        ("F", 32768.0),
    ):
        (shade, *_) = to_rgb(Image.new(mode, (1, 1), level)).tobytes()
        assert shade in (127, 128), (mode, level)
    premultiplied = Image.new("RGBA", (1, 1), (0, 0, 255, 128)).convert("RGBa")
    assert to_rgb(premultiplied).tobytes() == b"\x7f\x7f\xff"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF", "WEBP", "PNG", "JPEG", "MPO"])
def test_every_format_is_read_by_what_it_is_and_not_by_its_name(kind: str, tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    several = (
        {"save_all": True, "append_images": [blue]} if kind in ("GIF", "TIFF", "WEBP", "PNG", "MPO") else {}
    )
    red.save(path := tmp_path / "picture.dat", kind, **several)
    opened = InitImage.open(path, width=16, height=16)
    first = Image.frombytes("RGB", (16, 16), opened.rgb).getpixel((8, 8))
    assert isinstance(first, tuple)
    assert first[0] > 240
    assert max(first[1:]) < 16
