"""Pictures that clients send: base64 in, pixels out, with every size checked before anything is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

from allaprima.core.errors import RequestError
from allaprima.core.image_files import DAMAGED, is_webp, webp_size
from allaprima.core.image_modes import to_mask, to_rgb
from allaprima.studio.server.settings import Caps

_PNG = b"\x89PNG\r\n\x1a\n"
_EXPECTED = "expected a PNG, JPEG or WebP picture"


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 `text`, with or without a data URL's head; nothing is ever fetched."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"got text that is not base64; {_EXPECTED} in base64") from None


def open_upload(data: bytes, caps: Caps) -> Image.Image:
    """Return the picture in `data` as RGB, upright; refuse it as `upload_size` does, or if it is damaged."""
    return to_rgb(decode_upload(data, caps))


def decode_upload(data: bytes, caps: Caps) -> Image.Image:
    """Return the picture in `data` in its own mode, upright; refuse it as `open_upload` does."""
    with _refuse_damage(caps):
        upload_size(data, caps)  # Pillow sets up a decoder for the whole canvas when it opens a WebP
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            _check_size(image.width, image.height, caps)
            image.load()
            return ImageOps.exif_transpose(image)


def open_mask(data: bytes, caps: Caps) -> Image.Image:
    """Return the mask in `data` as grey, as `image_modes.to_mask` reads it; refuse it as `open_upload` does."""
    return to_mask(decode_upload(data, caps))


def upload_size(data: bytes, caps: Caps) -> tuple[int, int]:
    """Return width and height of the picture in `data` as its header states them; nothing is decoded.

    Raises:
        RequestError: it is no PNG, JPEG or WebP, its header is damaged, or it is larger than the caps say.
    """
    with _refuse_damage(caps):
        if is_webp(data):
            width, height = webp_size(data)
        else:
            with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
                width, height = image.size
        _check_size(width, height, caps)
        return width, height


def fit(image: Image.Image, width: int, height: int, resize_mode: int) -> Image.Image:
    """Return `image` at width x height by A1111's `resize_mode`.

    0 stretches, 1 cuts off what is too much, 2 shows all of it on a margin made of its own blurred edges.
    """
    if image.size == (width, height):
        return image
    if resize_mode == 0:
        return image.resize((width, height), Image.Resampling.LANCZOS)
    if resize_mode == 1:
        return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    whole = ImageOps.contain(image, (width, height), Image.Resampling.LANCZOS)
    canvas = image.resize((8, 8), Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
    canvas.paste(whole, ((width - whole.width) // 2, (height - whole.height) // 2))
    return canvas


@contextmanager
def _refuse_damage(caps: Caps) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except RequestError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RequestError(f"got a picture of far more pixels; expected {_most(caps)}") from None
    except DAMAGED:
        raise RequestError(f"got a picture that cannot be read; {_EXPECTED}") from None


def _formats(data: bytes) -> tuple[str]:
    return ("WEBP",) if is_webp(data) else ("PNG",) if data.startswith(_PNG) else ("JPEG",)


def _check_size(width: int, height: int, caps: Caps) -> None:
    side, pixels = caps.upload_side, caps.upload_pixels
    if not (0 < width <= side and 0 < height <= side and width * height <= pixels):
        raise RequestError(f"got a picture of {width}x{height} pixels; expected {_most(caps)}")


def _most(caps: Caps) -> str:
    return f"at most {caps.upload_pixels:,} in all and {caps.upload_side} a side"
