"""The texts inside a picture file, wherever programs put them: nothing is decoded but text, and that within bounds.

PNG has chunks of text, before or behind the pixels. JPEG, WebP, AVIF and TIFF have EXIF, in whose directories the
words lie in `UserComment`, `ImageDescription` or `XPComment`, in several encodings. JPEG and GIF have comments.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from typing import Any

from PIL import ExifTags, Image

from allaprima.core.errors import PictureError
from allaprima.core.picture_kinds import EXPECTED
from allaprima.core.picture_opening import DAMAGED, format_of
from allaprima.core.picture_structure import (
    check_structure,
    has_header,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)

MAX_TEXT_BYTES = 2**20
"""Of one text; what is longer is cut."""
MAX_TEXTS = 100

_TAGS = {
    "UserComment": ExifTags.Base.UserComment, "ImageDescription": ExifTags.Base.ImageDescription,
    "XPComment": ExifTags.Base.XPComment, "Make": ExifTags.Base.Make, "Model": ExifTags.Base.Model,
    "Software": ExifTags.Base.Software,
}  # fmt: skip
_CODES = re.compile(rb"UNICODE\0|ASCII\0\0\0|JIS\0\0\0\0\0|\0{8}", re.IGNORECASE)  # EXIF 2.3, table 9
_EXIF_SEGMENT, _COMMENT_SEGMENT = 0xE1, 0xFE


def read_texts(data: bytes) -> dict[str, str]:
    """Return the texts in the picture file `data` by their names, those of PNG chunks and EXIF tags.

    Its size is no danger here, for its pixels are never decoded.

    Raises:
        PictureError: it is no picture, its header is damaged, or its blocks are too many.
    """
    kind = format_of(data)
    if not has_header(data, kind):
        raise PictureError(f"got a picture whose header is damaged; expected {EXPECTED}")
    if kind == "PNG":
        return _png_texts(data)
    if kind == "JPEG":
        return _jpeg_texts(data)
    if kind == "WEBP":
        return _exif_texts(next((body for name, body in webp_chunks(data) if name == b"EXIF"), b""))
    check_structure(data, kind, 0)
    return _opened_texts(data, kind)


def decode_text(data: bytes) -> str:
    """Return `data` in the encoding that makes it readable: UTF-8, UTF-16 of either byte order, or Latin-1."""
    data = data[:MAX_TEXT_BYTES]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").rstrip("\0")
    guesses = []
    if b"\0" not in data.rstrip(b"\0"):
        try:
            return data.decode("utf-8-sig").rstrip("\0")
        except UnicodeDecodeError:
            guesses.append(data.decode("latin-1"))
    odd = len(data) % 2
    guesses += [data[: len(data) - odd].decode("utf-16-be", "replace")]
    guesses += [(data + bytes(odd)).decode("utf-16-le", "replace")]  # its last zero was taken for an end
    return min(guesses, key=_strange).rstrip("\0")


def _strange(text: str) -> float:
    """Return how unlike written text it is: the share of signs that nobody types, then that of all but ASCII."""
    odd = sum(not (char.isprintable() or char in "\t\r\n") or char == "\ufffd" for char in text)
    return (100 * odd + sum(not char.isascii() for char in text)) / (len(text) or 1)


def _png_texts(data: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    for kind, body in png_chunks(data):
        if kind == b"eXIf":
            texts = _exif_texts(body) | texts
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and len(texts) < MAX_TEXTS:
            name, _, rest = body.partition(b"\0")
            text = _chunk_text(kind, rest)
            if text is not None:
                texts.setdefault(name.decode("latin-1"), text)
    return texts


def _chunk_text(kind: bytes, rest: bytes) -> str | None:
    """Return the text behind a chunk's keyword (PNG 3rd edition, section 11.3.3), None if it is damaged."""
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    try:
        return decode_text(zlib.decompressobj().decompress(rest, MAX_TEXT_BYTES) if packed else rest)
    except zlib.error:
        return None


def _jpeg_texts(data: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    exif = b""
    for marker, body in jpeg_segments(data):
        if marker == _EXIF_SEGMENT and body.startswith(b"Exif\0\0"):
            exif += body[6:] if exif else body  # text longer than a segment goes on in the next
        elif marker == _COMMENT_SEGMENT:
            texts.setdefault("comment", decode_text(body))
    return _exif_texts(exif) | texts


def _opened_texts(data: bytes, kind: str) -> dict[str, str]:
    """Return the texts that Pillow finds in a header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                comment = image.info.get("comment", b"")
                texts = {"comment": decode_text(comment)} if isinstance(comment, bytes) and comment else {}
                return texts | _tag_texts(image.getexif())
    except DAMAGED:
        return {}


def _exif_texts(exif_bytes: bytes) -> dict[str, str]:
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged EXIF what can be read is read
            exif.load(exif_bytes)
            return _tag_texts(exif)
    except DAMAGED:
        return {}


def _tag_texts(exif: Image.Exif) -> dict[str, str]:
    """Return the texts of known tags; they belong to one directory each, and lie in any."""
    texts: dict[str, str] = {}
    for ifd in (exif.get_ifd(ExifTags.IFD.Exif), exif, exif.get_ifd(ExifTags.IFD.IFD1)):
        for name, tag in _TAGS.items():
            text = _tag_text(ifd.get(tag))
            if text.strip():
                texts.setdefault(name, text)
    return texts


def _tag_text(value: Any) -> str:
    if isinstance(value, str):
        value = value.encode("latin-1", "replace")  # as Pillow decodes text of the type ASCII, whatever it is
    if isinstance(value, tuple) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        value = bytes(value)
    if not isinstance(value, bytes):
        return ""
    code = _CODES.match(value)
    return decode_text(value if code is None else value[code.end() :])
