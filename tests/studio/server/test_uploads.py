"""Pictures that clients send: sizes are checked before anything is decoded."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
import zlib

import pytest
from PIL import Image
from tests.studio.server.conftest import Served
from tests.studio.server.pictures import png_bytes

from allaprima.core.errors import RequestError
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.uploads import decode_base64, open_upload, upload_size


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small file whose header promises a large picture, with pixels that inflate a thousandfold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10**6, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_pictures_that_claim_to_be_huge_are_never_decoded(served: Served) -> None:
    with served.client() as client:
        for width, height in ((10**5, 10**4), (16384, 16384), (1, 2**31 - 1), (0, 5)):
            sent = base64.b64encode(png_that_claims(width, height)).decode()
            answer = client.post("/sdapi/v1/img2img", json={"init_images": [sent], "prompt": "a"})
            assert answer.status_code == 400, answer.text


def test_what_is_sent_must_be_a_picture() -> None:
    png, caps = png_bytes(), Caps()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    for data in (
        b"",
        b"hello",
        svg,
        b"GIF89a" + png,
        png[:40],
        png[:50],
        b"RIFF\0\0\0\0WEBPVP8X",
        b"II*\0" + png,
    ):
        with pytest.raises(RequestError):
            open_upload(data, caps)
    for text in ("http://169.254.169.254/latest", "file:///etc/passwd", "data:image/png;base64,%%%", "é"):
        with pytest.raises(RequestError, match="not base64"):
            decode_base64(text)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1000, 3)])
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_size_of_a_webp_is_read_from_its_header(size: tuple[int, int], lossless: bool, mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, size, 128).save(out, "WEBP", lossless=lossless, exif=Image.Exif().tobytes())
    assert upload_size(out.getvalue(), Caps()) == size
    assert open_upload(out.getvalue(), Caps()).size == size


def test_a_webp_that_claims_to_be_huge_is_never_opened() -> None:
    huge = (
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
        + (10**5).to_bytes(3, "little")
        + (10**4).to_bytes(3, "little")
    )
    with pytest.raises(RequestError, match="100001x10001"):
        open_upload(huge, Caps())


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "I;16", "CMYK"])
def test_pictures_of_every_kind_become_rgb(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (8, 8)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert open_upload(out.getvalue(), Caps()).mode == "RGB"


def test_base64_with_blanks_costs_no_more_than_without() -> None:
    assert decode_base64(" YWJj \r\n\tZGVm\v\f ") == b"abcdef"
    text = "aa " * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            decode_base64(text + "!")
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()
