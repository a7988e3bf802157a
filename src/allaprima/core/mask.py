"""Which pixels of a picture are painted over, as a grey picture: black keeps, white paints.

Programs say it in two ways, and one rule reads both: a mask with a transparent pixel anywhere is painted where it is
transparent (OpenAI's way); any other is painted where it is white (A1111's way). Levels between mix old and new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def to_mask(image: Image.Image) -> Image.Image:
    """Return a mask as any program draws it as grey (mode L): 0 keeps a pixel, 255 paints it."""
    from PIL import ImageChops

    from allaprima.core.init_image import to_rgb

    if is_transparent(image):
        return ImageChops.invert(image.convert("RGBA").getchannel("A"))
    return to_rgb(image).convert("L")


def is_transparent(image: Image.Image) -> bool:
    """Return whether a pixel of `image` is transparent, wholly or in part."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return False
    low, _ = image.convert("RGBA").getchannel("A").getextrema()
    return low != 255
