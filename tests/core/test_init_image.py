from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.init_image import InitImage, to_rgb


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


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off"])
def test_what_is_no_picture_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"cannot be read: .*; expected a picture file"):
        InitImage.open(path, width=2, height=2)
    with pytest.raises(PictureError, match="cannot be read"):
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
