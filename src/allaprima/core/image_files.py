"""Reading a picture file that a person names, its size checked before its pixels are decoded."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from allaprima.core.errors import PictureError

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 2**26
"""Of a picture that is read: 8192 x 8192, more than cameras take and few enough to hold several times."""
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    AttributeError, struct.error, Warning, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on damaged headers; its own documentation names only some of them."""


def open_image(path: Path | str) -> Image.Image:
    """Return the picture in a file, decoded and upright.

    Raises:
        PictureError: there is no such file, it cannot be read as a picture, or it has more than 2^26 pixels.
    """
    path = Path(path)
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's about size comes too early, those about EXIF do not matter
            with path.open("rb") as file:
                return _decode(file, path)
    except PictureError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, which it does not name a size for
        raise _too_large(path, "too many") from None
    except DAMAGED as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise PictureError(f"{path} cannot be read: {reason}; expected a picture file") from error


def _decode(file: BinaryIO, path: Path) -> Image.Image:
    # Pillow sets up a decoder for the whole canvas when it opens a WebP, so that file's header is read by hand.
    head = file.read(30)
    file.seek(0)
    if is_webp(head):
        _check_pixels(path, *webp_size(head))
    with Image.open(file) as image:
        _check_pixels(path, *image.size)
        image.load()
        return ImageOps.exif_transpose(image)


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width}x{height}")


def _too_large(path: Path, pixels: str) -> PictureError:
    return PictureError(f"{path} has {pixels} pixels; expected at most {MAX_PIXELS:,}: make it smaller first")


def is_webp(head: bytes) -> bool:
    """Return whether a file that begins so is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height as a WebP file's first chunk states them (RFC 9649, sections 2.5 to 2.7)."""
    kind, chunk = head[12:16], head[20:30]
    if len(chunk) == 10 and kind == b"VP8X":
        return 1 + int.from_bytes(chunk[4:7], "little"), 1 + int.from_bytes(chunk[7:10], "little")
    if len(chunk) == 10 and kind == b"VP8L" and chunk[0] == 0x2F:
        bits = int.from_bytes(chunk[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(chunk) == 10 and kind == b"VP8 " and chunk[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(chunk[6:8], "little") & 0x3FFF, int.from_bytes(chunk[8:10], "little") & 0x3FFF
    raise ValueError("no WebP header")


def check_file(path: Path) -> None:
    """Refuse what is no ordinary file, or one too large for a picture, with a PictureError."""
    problem = None
    try:
        if path.is_dir():
            problem = "is a folder"
        elif not path.exists():
            problem = "does not exist"
        elif not path.is_file():
            problem = "is no ordinary file"  # reading a pipe would wait for ever
        elif (size := path.stat().st_size) > MAX_FILE_BYTES:
            problem = f"has {size:,} bytes, more than {MAX_FILE_BYTES:,}"
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        problem = f"cannot be read ({error})"
    if problem is not None:
        raise PictureError(f"{str(path)[:200]} {problem}; expected a picture file")
