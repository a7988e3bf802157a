"""Pictures that people send: read as far as they can be, refused before they cost anything."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib

import pytest
from PIL import Image

from allaprima.core.errors import PictureError
from allaprima.core.picture_kinds import READ, describe, find_format
from allaprima.core.picture_opening import load_picture, picture_size
from allaprima.core.picture_structure import MAX_BLOCKS, MAX_SCANS, jpeg_segments


def encoded(kind: str, size: tuple[int, int] = (40, 20), **options: object) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def behind_start(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("kind", READ)
def test_formats_are_told_by_their_first_bytes(kind: str) -> None:
    data = encoded(kind)
    assert find_format(data[:512]) == kind
    assert picture_size(data) == (40, 20)
    assert load_picture(data).size == (40, 20)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "an HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a film"),
        (b"\xff\x0a\xfa", "a JPEG XL picture"),
        (b"<svg xmlns='x'>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<svg>", "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"%PDF-1.7", "a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a git-lfs pointer"),
        (b"PK\3\4", "a zip archive"),
        (b"8BPS", "a Photoshop document"),
        (b"data:image/png;base64,iVBORw0KGgo=", "a data URL"),
        (b'{"prompt": "a cat"}', "JSON"),
        ("ein Bär".encode(), "text"),
        (bytes(range(1, 256)), "no picture"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(head: bytes, what: str) -> None:
    assert find_format(head) is None
    assert describe(head).startswith(what)
    with pytest.raises(PictureError, match=f"got a file that is {what}.*; expected a PNG, JPEG, WebP"):
        load_picture(head)


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x03\x00"),
        segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x03\x00"),
        segment(0xE1, b"Exif\0\0MM\0*\0\0\xff\xff"),
        segment(0xE1, b"Exif\0\0"),
        segment(0xE2, b"ICC_PROFILE\0\1\2broken"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\xff\xff"),
    ],
)
def test_photographs_with_damaged_extras_are_read(extra: bytes) -> None:
    assert load_picture(behind_start(encoded("JPEG"), extra)).size == (40, 20)


def test_a_photograph_is_upright_whatever_its_format() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "WEBP", "PNG", "TIFF", "AVIF"):
        assert load_picture(encoded(kind, exif=exif)).size == (20, 40), kind


def test_several_pictures_in_a_file_are_its_first() -> None:
    for kind in ("MPO", "GIF", "WEBP", "PNG", "TIFF"):
        first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
        first.save(out := io.BytesIO(), kind, save_all=True, append_images=[second])
        pixel = load_picture(out.getvalue()).convert("RGB").getpixel((8, 8))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 240, kind


def bmp_of(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 100, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def gif_of(width: int, height: int, extra: bytes = b"") -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + extra + frame


def tiff_of(width: int, height: int) -> bytes:
    entries = (
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, 1),
    )
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


def png_of(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    jpeg = encoded("JPEG", progressive=True)
    at = jpeg.index(b"\xff\xc2")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def webp_of(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


def avif_of(width: int, height: int) -> bytes:
    avif = encoded("AVIF")
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">II", width, height) + avif[at + 8 :]


@pytest.mark.parametrize("make", [bmp_of, gif_of, tiff_of, png_of, jpeg_of, webp_of, avif_of])
def test_enormous_sizes_are_refused_before_anything_is_decoded(make: object) -> None:
    assert callable(make)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    for size in ((60_000, 60_000), (16_000, 16_000)):
        with pytest.raises(PictureError):
            load_picture(make(*size))
    with pytest.raises(PictureError, match="got a picture of 300x200 pixels; expected at most 50,000 in all"):
        load_picture(make(300, 200), max_pixels=50_000)
    assert time.perf_counter() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10  # KiB


def progressive_of(scans: int) -> bytes:
    """Return a progressive JPEG whose last scan is there `scans` times more."""
    jpeg = encoded("JPEG", (64, 64), progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * scans + b"\xff\xd9"


def test_scans_of_a_jpeg_are_bounded() -> None:
    usual = encoded("JPEG", (64, 64), progressive=True)
    assert 5 < sum(marker == 0xDA for marker, _ in jpeg_segments(usual)) < 20
    assert load_picture(usual).size == (64, 64)
    with pytest.raises(PictureError, match=f"scans; expected at most {MAX_SCANS}"):
        load_picture(progressive_of(MAX_SCANS))
    # What lies behind the picture, a film of a phone say, is not its scans.
    assert load_picture(usual + b"\xff\xda\0\0" * 1000).size == (64, 64)
    large = progressive_of(40)
    at = large.index(b"\xff\xc2")
    with pytest.raises(PictureError, match="fewer if it is large"):
        load_picture(large[: at + 5] + struct.pack(">HH", 11_000, 11_000) + large[at + 9 :])


def test_blocks_are_bounded_in_number_and_time() -> None:
    png = encoded("PNG")
    many = png[:33] + chunk(b"tEXt", b"a\0b") * (MAX_BLOCKS + 1) + png[33:]
    jpeg = behind_start(encoded("JPEG"), segment(0xFE, b"") * (MAX_BLOCKS + 1))
    webp = encoded("WEBP", exif=b"Exif\0\0") + b"abcd\0\0\0\0" * (MAX_BLOCKS + 1)
    gif = gif_of(8, 8, b"!\xfe" + b"\xff".join([b""] + [bytes(255)] * 10_000) + b"\0")
    started = time.perf_counter()
    for data in (many, jpeg, webp, gif):
        with pytest.raises(PictureError, match=r"more than|over a megabyte"):
            load_picture(data)
    assert time.perf_counter() - started < 5
    for kind in READ:
        assert load_picture(encoded(kind)).size == (40, 20)


def test_a_picture_cut_off_is_told() -> None:
    for kind in READ:
        data = encoded(kind, (200, 200))
        with pytest.raises(PictureError, match=r"got a (damaged picture|picture whose header is damaged)"):
            load_picture(data[: len(data) // 2])
