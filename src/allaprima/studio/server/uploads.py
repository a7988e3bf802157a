"""Pictures that clients send: base64 in, pixels out, with every size checked before anything is decoded."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.image_modes import to_mask, to_rgb
from allaprima.core.picture_kinds import EXPECTED
from allaprima.core.picture_opening import load_picture, picture_size
from allaprima.core.reference import Reference
from allaprima.studio.server.settings import Caps

_BLANKS = b" \t\n\v\f\r"


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 `text`, with or without a data URL's head; nothing is ever fetched."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        # In one go: text that is split at its blanks may come to millions of pieces.
        return base64.b64decode(text.encode("ascii").translate(None, _BLANKS), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"got text that is not base64; expected {EXPECTED} in base64") from None


def open_upload(data: bytes, caps: Caps) -> Image.Image:
    """Return the picture in `data` as RGB, upright; refuse it as `upload_size` does, or if it is damaged."""
    return to_rgb(decode_upload(data, caps))


def open_mask(data: bytes, caps: Caps) -> Image.Image:
    """Return the mask in `data` as grey, as `core.mask` reads it; refuse it as `open_upload` does."""
    return to_mask(decode_upload(data, caps))


def decode_upload(data: bytes, caps: Caps) -> Image.Image:
    """Return the picture in `data` in its own mode, upright; refuse it as `open_upload` does."""
    with _as_request_errors():
        return load_picture(data, max_side=caps.upload_side, max_pixels=caps.upload_pixels)


def open_reference(data: bytes, caps: Caps) -> Reference:
    """Return the picture in `data` as one to look at; refuse it as `open_upload` does, or if it is too small."""
    return Reference.from_image(decode_upload(data, caps))


def upload_size(data: bytes, caps: Caps) -> tuple[int, int]:
    """Return width and height of the picture in `data` as its header states them; nothing is decoded.

    Raises:
        RequestError: it is no picture of a format that is read, its header is damaged, or it is larger than the caps
            say.
    """
    with _as_request_errors():
        return picture_size(data, max_side=caps.upload_side, max_pixels=caps.upload_pixels)


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
def _as_request_errors() -> Iterator[None]:
    try:
        yield
    except PictureError as error:
        raise RequestError(str(error)) from error
