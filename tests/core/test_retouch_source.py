from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from allaprima.core.errors import PictureError
from allaprima.core.retouch_source import open_to_retouch


def png_header(width: int, height: int) -> bytes:
    """Return a PNG file of a size, of whose pixels nothing is there."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_picture_is_opened_as_rgb(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (20, 10), "#336699").save(tmp_path / name)
    opened = open_to_retouch(tmp_path / name).image
    assert (opened.mode, opened.size) == ("RGB", (20, 10))


def test_alpha_stays_where_something_is_transparent(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(tmp_path / "solid.png")
    Image.new("RGBA", (4, 4), (1, 2, 3, 90)).save(tmp_path / "glass.png")
    assert open_to_retouch(tmp_path / "solid.png").image.mode == "RGB"
    assert open_to_retouch(tmp_path / "glass.png").image.getpixel((0, 0)) == (1, 2, 3, 90)
    palette = Image.new("P", (4, 4))
    palette.save(tmp_path / "palette.png", transparency=0)
    assert open_to_retouch(tmp_path / "palette.png").image.mode == "RGBA"


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert open_to_retouch(tmp_path / "a.jpg").image.size == (10, 20)


def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(20_000, 20_000))
    with pytest.raises(PictureError, match=r"huge.png cannot be retouched: got a picture of too many pixels"):
        open_to_retouch(tmp_path / "huge.png")
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    (tmp_path / "huge.webp").write_bytes(webp + (15_999).to_bytes(3, "little") * 2)
    with pytest.raises(PictureError, match=r"16000x16000 pixels; expected at most"):
        open_to_retouch(tmp_path / "huge.webp")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes(png_header(8, 8))
    for name in ("a.txt", "cut.png"):
        with pytest.raises(PictureError, match=r"cannot be retouched: got a .*; expected a PNG"):
            open_to_retouch(tmp_path / name)
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(PictureError, match="expected a picture file"):
            open_to_retouch(path)
