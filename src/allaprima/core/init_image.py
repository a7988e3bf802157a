"""The picture that img2img starts from, and perhaps the part of it that is painted over: pixels, never a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.mask import to_mask

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
    mask: bytes | None = field(default=None, repr=False)
    """One byte a pixel, rows from the top: 0 keeps it, bit for bit, 255 paints it; None paints all of them."""
    full_steps: bool = False
    """Take all the steps that are asked for, evenly from the level that `strength` means; otherwise, as in diffusers,
    only that share of them."""

    def __post_init__(self) -> None:
        size, expected = f"{self.width}x{self.height}", 3 * self.width * self.height
        if len(self.rgb) != expected:
            raise RequestError(f"got {len(self.rgb)} bytes for a {size} picture; expected {expected}")
        strength: object = self.strength
        if not isinstance(strength, int | float) or not 0.0 <= strength <= 1.0:
            raise RequestError(f"got strength {str(strength)[:40]}; expected 0 to 1")
        if self.mask is None:
            return
        if len(self.mask) != self.width * self.height:
            raise RequestError(
                f"got a mask of {len(self.mask)} bytes for a {size} picture; expected {self.width * self.height}"
            )
        if not any(self.mask):
            raise RequestError(
                "got a mask that keeps every pixel; expected some to paint: white, or transparent where it has alpha"
            )

    @classmethod
    def from_image(
        cls,
        image: Image.Image,
        *,
        width: int,
        height: int,
        strength: float = 0.75,
        mask: Image.Image | None = None,
    ) -> InitImage:
        """Return a PIL image, upright, scaled to cover width x height pixels and cut to them around its middle.

        Args:
            image: any mode.
            width: pixels.
            height: pixels.
            strength: see the attribute.
            mask: what of `image` is painted, as `core.mask` reads it; of the same size, and cut with it.

        Raises:
            RequestError: the mask has another size, or nothing of what is left of it is painted.
        """
        from PIL import Image, ImageOps

        size = (width, height)
        fitted = ImageOps.fit(
            upright := to_rgb(ImageOps.exif_transpose(image)), size, Image.Resampling.LANCZOS
        )
        if mask is None:
            return cls(width=width, height=height, rgb=fitted.tobytes(), strength=strength)
        levels = to_mask(ImageOps.exif_transpose(mask))
        if levels.size != upright.size:
            got, expected = ("{}x{}".format(*each.size) for each in (levels, upright))
            raise RequestError(f"got a mask of {got} pixels; expected {expected}, as the picture has")
        cut = ImageOps.fit(levels, size, Image.Resampling.BILINEAR)
        return cls(width=width, height=height, rgb=fitted.tobytes(), strength=strength, mask=cut.tobytes())

    @classmethod
    def open(cls, path: Path | str, *, width: int, height: int, strength: float = 0.75) -> InitImage:
        """Return the picture file at `path`, as `from_image`; PictureError if it cannot be read as one."""
        from PIL import Image

        try:
            with Image.open(path) as image:
                return cls.from_image(image, width=width, height=height, strength=strength)
        except RequestError:
            raise
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise PictureError(f"{path} cannot be read: {reason}; expected a picture file") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` as RGB: what is transparent lies on white, and 16 bits of grey become 8."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    if image.mode.startswith("I;16"):
        return image.point(lambda level: level / 256).convert("L").convert("RGB")
    return image.convert("RGB")
