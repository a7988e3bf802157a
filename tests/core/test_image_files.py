"""Picture files that a person names: refused by their size before anything is decoded, in one sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from allaprima.core.errors import PictureError
from allaprima.core.image_files import open_image
from allaprima.core.init_image import InitImage


def test_a_file_is_opened_upright_and_keeps_its_transparency(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 255, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    opened = open_image(tmp_path / "turned.png")
    assert (opened.size, opened.getpixel((0, 1))) == ((1, 2), (0, 0, 255, 0))


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off", b"RIFF\0\0\0\0WEBPVP8 "])
def test_what_is_no_picture_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"cannot be read: .*; expected a picture file"):
        open_image(path)
    with pytest.raises(PictureError, match="cannot be read"):
        InitImage.open(path, width=2, height=2)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "nowhere.png", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(PictureError, match=f"{told}; expected a picture file"):
            open_image(path)


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"never read") + chunk(b"IEND", b"")


def huge_webp(side: int) -> bytes:
    size = (side - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize("data", [huge_png(20_000), huge_webp(16_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(data)
    with pytest.raises(
        PictureError, match=r"has (too many|16000x16000) pixels; expected at most 67,108,864: make it smaller"
    ):
        open_image(path)
