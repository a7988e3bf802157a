"""Opening a person's picture to work on: its size is read in its header, and checked, before anything is decoded."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, ImageOps

from allaprima.core.errors import PictureError
from allaprima.core.init_image import to_rgb
from allaprima.core.picture_files import DAMAGED, check_file

MAX_SIDE = 16_384
MAX_PIXELS = 2**26
"""67 million: a square of 8192."""
_FORMATS = ("PNG", "JPEG", "WEBP")


def open_picture(path: Path) -> Image.Image:
    """Return the picture at `path`, upright, as RGBA where something is transparent and as RGB elsewhere.

    Raises:
        PictureError: there is no such file, it is no PNG, JPEG or WebP, it is damaged, or too large.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures, which are limited here, and of damaged EXIF, which is not pixels.
            warnings.simplefilter("ignore")
            size = _webp_size(path)
            if size is not None:
                check_size(*size, str(path))
            with Image.open(path, formats=_FORMATS) as image:
                check_size(*image.size, str(path))
                image.load()
                return plain(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{path} has too many pixels; expected at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} a side"
        ) from error
    except DAMAGED as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise PictureError(
            f"{path} cannot be read: {reason}; expected a whole PNG, JPEG or WebP picture"
        ) from error


def check_size(width: int, height: int, name: str = "a picture") -> None:
    """Refuse a picture without pixels, or with too many to work on."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PictureError(
            f"got {name} of {width}x{height} pixels; expected at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} a side"
        )


def plain(image: Image.Image) -> Image.Image:
    """Return `image` as RGBA where something in it is transparent, else as RGB."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() != (255, 255):
            return with_alpha
    return to_rgb(image)


def _webp_size(path: Path) -> tuple[int, int] | None:
    """Return the size that the header of a WebP file states, None for any other file.

    Pillow sets up a decoder for the whole canvas when it opens one.
    """
    with path.open("rb") as file:
        head = file.read(30)
    return webp_size(head) if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


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
