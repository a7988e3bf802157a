"""Opening pictures that people and programs send: every size is checked before anything is decoded.

    image = open_picture(path)

What Pillow only warns about is read: a damaged EXIF, a header of several pictures that it cannot follow. Of films and
of several pictures in one file the first is taken.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from allaprima.core.errors import PictureError
from allaprima.core.picture_kinds import EXPECTED, HEAD_BYTES, describe, find_format
from allaprima.core.picture_structure import check_structure, webp_size

MAX_PIXELS = 2**27
"""Of one picture, if the caller sets no other bound: 134 megapixels, 400 MB decoded."""
MAX_SIDE = 2**16
"""Pixels along either side."""
MAX_FILE_BYTES = 256 * 2**20
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    AttributeError, struct.error, Warning, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on damaged headers; its own documentation names only some of them."""


def load_picture(data: bytes, *, max_side: int = MAX_SIDE, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the picture in `data`, decoded and upright, in its own mode.

    Raises:
        PictureError: it is no picture of a format that is read, larger than the bounds, or damaged.
    """
    picture_size(data, max_side=max_side, max_pixels=max_pixels)
    with _refuse_damage(), Image.open(io.BytesIO(data), formats=(format_of(data),)) as image:
        image.load()
        return upright(image)


def picture_size(data: bytes, *, max_side: int = MAX_SIDE, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return width and height of the picture in `data`, as its header states them; nothing is decoded.

    Raises:
        PictureError: as `load_picture` does.
    """
    kind, bounds = format_of(data), f"expected at most {max_pixels:,} in all and {max_side} a side"
    with _refuse_damage(bounds):
        # First, for Pillow's own reading of a header takes as long as there are blocks.
        check_structure(data, kind, 0)
        if kind == "WEBP":
            width, height = webp_size(data)  # Pillow would set up a decoder for the whole canvas
        else:
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                width, height = image.size
        if not (0 < width <= max_side and 0 < height <= max_side and width * height <= max_pixels):
            raise PictureError(f"got a picture of {width}x{height} pixels; {bounds}")
        check_structure(data, kind, width * height)
    return width, height


def open_picture(path: Path) -> Image.Image:
    """Return the picture in the file at `path`, decoded and upright, in its own mode.

    Raises:
        PictureError: as `read_picture_file` and `load_picture` do, with the file's name.
    """
    data = read_picture_file(path)
    try:
        return load_picture(data)
    except PictureError as error:
        raise PictureError(f"{path} cannot be read: {error}") from error


def read_picture_file(path: Path) -> bytes:
    """Return the bytes of the file at `path`, once that is a file of ordinary size.

    Raises:
        PictureError: there is none, it is a folder or a pipe, too large, or closed to us.
    """
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
        else:
            return path.read_bytes()
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise PictureError(f"{str(path)[:200]} {problem}; expected a picture file")


def upright(image: Image.Image) -> Image.Image:
    """Return `image` turned as its EXIF says; one whose EXIF cannot be read stays as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGED:
        return image


def format_of(data: bytes) -> str:
    """Return the format of the picture in `data`; PictureError, by its name, for anything else."""
    kind = find_format(data[:HEAD_BYTES])
    if kind is None:
        raise PictureError(f"got a file that is {describe(data[:HEAD_BYTES])}; expected {EXPECTED}")
    return kind


@contextmanager
def _refuse_damage(bounds: str = EXPECTED) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            # Bounds are checked here, and of damage Pillow reads what can be read.
            warnings.simplefilter("ignore")
            yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own bound, which some headers meet before ours
        raise PictureError(f"got a picture of too many pixels; {bounds}") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"got a picture whose header is damaged; expected {EXPECTED}") from error
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise PictureError(f"got a damaged picture ({reason}); expected {EXPECTED}") from error
