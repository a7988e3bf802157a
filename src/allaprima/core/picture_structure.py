"""The blocks that picture files are made of: found without decoding anything, and bounded in number.

A decoder's work is not bounded by a file's length: a JPEG may hold thousands of scans over the whole picture, a PNG
millions of chunks, a GIF a comment in pieces that is joined anew for each. So files are walked through here before
Pillow sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from allaprima.core.errors import PictureError

MAX_BLOCKS = 50_000
"""Chunks of a PNG or WebP, segments of a JPEG; a PNG of 400 MB in pieces of 8 kB has as many."""
MAX_SCANS = 100
"""Passes over the picture in a JPEG; progressive ones have about ten."""
MAX_SCANNED_PIXELS = 2**31
"""Passes times pixels."""
MAX_GIF_BYTES = 2**20
"""What may stand before the first picture of a GIF."""

_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PADDING = re.compile(rb"\xff{2,}")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # headers of a picture, of all its kinds
_LONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of a PNG's chunks, those after its pixels too; content of pixels is left out."""
    at = 8
    for _ in _bounded("chunks"):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        yield kind, b"" if kind in (b"IDAT", b"fdAT") else data[at + 8 : at + 8 + length]
        at += 12 + length


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of a WebP's chunks (container: RFC 9649, section 2.3)."""
    at = 12
    for _ in _bounded("chunks"):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(kind) < 4:
            return
        yield kind, data[at + 8 : at + 8 + min(length, MAX_GIF_BYTES)]
        at += 8 + length + length % 2


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of a JPEG's segments up to the end of its (first) picture."""
    at = 2
    for _ in _bounded("segments"):
        if (padding := _PADDING.match(data, at)) is not None:
            at = padding.end() - 1
        marker = data[at + 1] if data[at : at + 1] == b"\xff" and at + 1 < len(data) else _END_OF_IMAGE
        if marker == _END_OF_IMAGE:
            return
        length = 0 if marker in _LONE else int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == _START_OF_SCAN:
            found = _SCAN_END.search(data, at)
            at = len(data) if found is None else found.start()


def check_structure(data: bytes, kind: str, pixels: int) -> None:
    """Refuse a picture of format `kind` whose blocks would cost its decoder more than pictures do.

    Raises:
        PictureError: it has too many blocks or scans.
    """
    if kind == "PNG":
        for _ in png_chunks(data):
            pass
    elif kind == "WEBP":
        for _ in webp_chunks(data):
            pass
    elif kind == "GIF":
        _check_gif(data)
    elif kind == "JPEG":
        scans = sum(marker == _START_OF_SCAN for marker, _ in jpeg_segments(data))
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
            raise PictureError(
                f"got a JPEG of {scans} scans; expected at most {MAX_SCANS}, fewer if it is large"
            )


def has_header(data: bytes, kind: str) -> bool:
    """Return whether a PNG, JPEG or WebP begins with what says how large it is; True for other formats."""
    if kind == "PNG":
        return data[12:16] == b"IHDR" and len(data) >= 33
    if kind == "JPEG":
        return any(marker in _FRAMES for marker, _ in jpeg_segments(data))
    return kind != "WEBP" or data[12:16] in (b"VP8X", b"VP8L", b"VP8 ")


def _check_gif(data: bytes) -> None:
    """Refuse a GIF with much before its first picture (GIF89a, sections 17 to 26)."""
    flags = data[10] if len(data) > 10 else 0
    at = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    while data[at : at + 1] == b"!":
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
            if at > MAX_GIF_BYTES:
                raise PictureError(
                    "got a GIF with over a megabyte before its first picture; expected a picture"
                )
        at += 1


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height as a WebP file's first chunk states them (RFC 9649, sections 2.5 to 2.7)."""
    kind, head = data[12:16], data[20:30]
    if len(head) == 10 and kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if len(head) == 10 and kind == b"VP8L" and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(head) == 10 and kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    raise ValueError("no WebP header")


def _bounded(what: str) -> Iterator[None]:
    for _ in range(MAX_BLOCKS):
        yield
    raise PictureError(f"got a picture of more than {MAX_BLOCKS:,} {what}; expected fewer")
