"""Reading the request that a picture file carries; see `picture_encoding` for how it is written.

Nothing is trusted: only headers are parsed, sizes are limited, and a request that is there is checked.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.image_files import DAMAGED, check_file
from allaprima.core.infotext import MAX_CHARS, from_infotext, split_infotext
from allaprima.core.picture_encoding import (
    ASCII,
    EXIF_IFD,
    INPAINT_AREA,
    KEY,
    LAYOUT,
    STRENGTH,
    USER_COMMENT,
    UTF16,
)
from allaprima.core.request import GenerationRequest


def read_request(path: Path) -> GenerationRequest:
    """Return the request that the picture file at `path` carries.

    Our own JSON wins; a file of another program is read by its infotext.

    Raises:
        PictureError: there is no such file, it is no picture, it carries no request, or a damaged one.
    """
    check_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        texts = _parse_safely(file, str(path))
    if texts is None:
        raise PictureError(
            f"{path} carries no request; expected a picture painted by prima, "
            "or one with A1111 parameters, that no program has stripped"
        )
    infotext, our_json = texts
    try:
        return _from_our_json(our_json) if our_json is not None else from_infotext(infotext)
    except RequestError as error:
        raise PictureError(f"the request in {path} cannot be used: {error}") from error


def read_init_strength(path: Path) -> str | None:
    """Return how strongly another picture was painted over, as the file at `path` says; None if it says nothing.

    Raises:
        PictureError: it is no picture, or a damaged one.
    """
    return _read_settings(path).get(STRENGTH)


def read_inpaint_area(path: Path) -> str | None:
    """Return which part of another picture was painted, as the file at `path` says; None if it says nothing.

    Raises:
        PictureError: it is no picture, or a damaged one.
    """
    return _read_settings(path).get(INPAINT_AREA)


def _read_settings(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        infotext = read_infotext(file)
    try:
        return {} if infotext is None else split_infotext(infotext)[2]
    except RequestError:  # a text of another kind
        return {}


def read_infotext(file: BinaryIO) -> str | None:
    """Return the A1111 infotext that an open picture file carries, None if it carries none."""
    texts = _parse_safely(file, "the picture")
    return None if texts is None else texts[0]


def _from_our_json(text: str) -> GenerationRequest:
    if len(text) > MAX_CHARS:
        raise RequestError(f"got JSON of {len(text):,} characters; expected at most {MAX_CHARS:,}")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("got damaged JSON; expected an object with a request") from None
    if not isinstance(data, dict) or data.get("layout") != LAYOUT:
        raise RequestError(
            f"got JSON of another layout; expected layout {LAYOUT}, perhaps a newer prima reads it"
        )
    return GenerationRequest.from_json(data.get("request"))  # type: ignore[arg-type]  # it checks the type itself


def _parse_safely(file: BinaryIO, name: str) -> tuple[str, str | None] | None:
    """Return the infotext and our JSON (None where absent), or None if the file holds neither."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns about damaged EXIF and reads on
            # A large picture is no danger here, for its pixels are never decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _parse_texts(file)
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} cannot be read as a PNG, JPEG or WebP picture: it is none") from error
    except DAMAGED as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise PictureError(f"{name} cannot be read as a PNG, JPEG or WebP picture: {reason}") from error


def _parse_texts(file: BinaryIO) -> tuple[str, str | None] | None:
    head = file.read(12)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        # Pillow would set up a decoder for the whole canvas; the header does not say whether that is sane.
        return _split_comment(_webp_exif(file))
    with Image.open(file, formats=("PNG", "JPEG")) as image:
        if image.format == "JPEG":
            return _split_comment(image.info.get("exif", b""))
        infotext, our_json = image.info.get("parameters"), image.info.get(KEY)
    if infotext is None and our_json is None:
        return None
    return str(infotext or ""), None if our_json is None else str(our_json)


def _webp_exif(file: BinaryIO) -> bytes:
    """Return the EXIF chunk of a WebP file, or nothing (container: RFC 9649, section 2.3)."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"EXIF":
            return file.read(min(length, 8 * MAX_CHARS))
        file.seek(length + length % 2, io.SEEK_CUR)
    return b""


def _split_comment(exif_bytes: bytes) -> tuple[str, str | None] | None:
    if not exif_bytes:
        return None
    exif = Image.Exif()
    exif.load(exif_bytes)
    comment = exif.get_ifd(EXIF_IFD).get(USER_COMMENT)
    if not isinstance(comment, bytes):
        return None
    if comment.startswith(UTF16):
        infotext = comment[len(UTF16) :].decode("utf-16-be")
    elif comment.startswith(ASCII):
        infotext = comment[len(ASCII) :].decode("ascii")
    else:
        return None
    try:
        return infotext, split_infotext(infotext)[2].get(KEY)
    except RequestError:  # a photographer's comment, say
        return None
