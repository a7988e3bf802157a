"""The picture that is to be retouched: read whole, upright and with its history, within bounds."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from allaprima.core.errors import PictureError
from allaprima.core.image_modes import to_rgb
from allaprima.core.picture import Picture
from allaprima.core.picture_files import read_history
from allaprima.core.picture_opening import load_picture, read_picture_file
from allaprima.core.retouched import RetouchedPicture

MAX_SIDE = 16_384
MAX_PIXELS = 2**26
"""67 million: a square of 8192. So many bytes of each kind are kept several times while the work goes on."""


def open_to_retouch(picture: Path | str | Image.Image | Picture | RetouchedPicture) -> RetouchedPicture:
    """Return a picture with its history, whatever a person calls a picture.

    Raises:
        PictureError: there is no such file, it is no picture, damaged, or too large.
    """
    if isinstance(picture, RetouchedPicture):
        return picture
    if isinstance(picture, Picture):
        return RetouchedPicture(image=picture.image, request=picture.request, infotext=picture.infotext)
    if isinstance(picture, Image.Image):
        check_size(*picture.size)
        return RetouchedPicture(image=plain(picture))
    if not isinstance(picture, Path | str):
        raise PictureError(f"got {type(picture).__name__}; expected a file, a picture or a PIL image")
    path = Path(picture)
    data = read_picture_file(path)
    try:
        return from_file(data)
    except PictureError as error:
        raise PictureError(f"{path} cannot be retouched: {error}") from error


def from_file(data: bytes, *, max_side: int = MAX_SIDE, max_pixels: int = MAX_PIXELS) -> RetouchedPicture:
    """Return the picture in the file `data` with its history; PictureError as `open_to_retouch`."""
    image = plain(load_picture(data, max_side=max_side, max_pixels=max_pixels))
    return RetouchedPicture(image=image, **vars(read_history(data)))


def check_size(width: int, height: int, what: str = "a picture") -> None:
    """Refuse a picture without pixels, or with too many to work on."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PictureError(
            f"got {what} of {width}x{height} pixels; expected at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} a side"
        )


def plain(image: Image.Image) -> Image.Image:
    """Return `image` as RGBA where something in it is transparent, else as RGB."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() != (255, 255):
            return with_alpha
    return to_rgb(image)
