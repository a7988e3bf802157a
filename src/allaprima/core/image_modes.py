"""What an image of any mode means: as a picture, and as a mask of what is painted over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` as RGB: what is transparent lies on white, and finer levels than 8 bits become 8."""
    from PIL import Image

    image = _to_eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if image.mode in ("RGBa", "La"):
            image = image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def to_mask(image: Image.Image) -> Image.Image:
    """Return a mask as any program draws it as grey (mode L): 0 keeps a pixel, 255 paints it, between it is mixed.

    Programs say it in two ways, and one rule reads both: a mask with a transparent pixel anywhere is painted where it
    is transparent (OpenAI's way); any other is painted where it is white (A1111's way).
    """
    mask = alpha_mask(image) if is_transparent(image) else to_rgb(image).convert("L")
    mask.info.clear()  # so that it can be read again, as what it is now
    return mask


def alpha_mask(image: Image.Image) -> Image.Image:
    """Return what is transparent in `image` as grey (mode L): 255 where nothing is seen, 0 where all is."""
    from PIL import ImageChops

    return ImageChops.invert(image.convert("RGBA").getchannel("A"))


def is_transparent(image: Image.Image) -> bool:
    """Return whether a pixel of `image` is transparent, wholly or in part."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return False
    low, _ = image.convert("RGBA").getchannel("A").getextrema()
    return low != 255


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture of finer levels, whose range its file does not say, with levels of 8 bits."""
    if image.mode.startswith("I;16"):
        grey = image.point(lambda level: level / 256).convert("L")
        grey.info.pop("transparency", None)  # a level of 16 bits, which names nothing any more
        return grey
    if image.mode not in ("I", "F"):
        return image
    highest = float(image.convert("F").getextrema()[1])  # type: ignore[arg-type]
    if image.mode == "F" and highest <= 1:
        scale = 255.0
    else:
        scale = 1.0 if highest < 2**8 else 2**-8 if highest < 2**16 else 2**-24
    return image.convert("F").point(lambda level: level * scale).convert("L")
