"""The picture that img2img starts from: pixels, never a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import PictureError, RequestError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True)
class InitImage:
    """A picture and how much of it is painted over. Raises RequestError for other values."""

    width: int
    """Pixels; those of the picture that is painted."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes a pixel."""
    strength: float = 0.75
    """0 keeps it as it is, 1 forgets it."""

    def __post_init__(self) -> None:
        size, expected = f"{self.width}x{self.height}", 3 * self.width * self.height
        if len(self.rgb) != expected:
            raise RequestError(f"got {len(self.rgb)} bytes for a {size} picture; expected {expected}")
        strength: object = self.strength
        if not isinstance(strength, int | float) or not 0.0 <= strength <= 1.0:
            raise RequestError(f"got strength {str(strength)[:40]}; expected 0 to 1")

    @classmethod
    def from_image(cls, image: Image.Image, *, width: int, height: int, strength: float = 0.75) -> InitImage:
        """Return a PIL image, upright, scaled to cover width x height pixels and cut to them around its middle."""
        from PIL import Image, ImageOps

        from allaprima.core.picture_opening import upright

        fitted = ImageOps.fit(to_rgb(upright(image)), (width, height), Image.Resampling.LANCZOS)
        return cls(width=width, height=height, rgb=fitted.tobytes(), strength=strength)

    @classmethod
    def open(cls, path: Path | str, *, width: int, height: int, strength: float = 0.75) -> InitImage:
        """Return the picture file at `path`, as `from_image`.

        Raises:
            PictureError: it cannot be read as a picture, or is larger than `picture_opening` decodes.
        """
        from allaprima.core.picture_opening import load_picture, read_picture_file

        data = read_picture_file(Path(path))
        try:
            image = load_picture(data)
            return cls.from_image(image, width=width, height=height, strength=strength)
        except PictureError as error:
            raise PictureError(f"{path} cannot be read: {error}") from error


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
