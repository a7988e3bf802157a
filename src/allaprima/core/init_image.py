"""The picture that img2img starts from, and perhaps the part of it that is painted over: pixels, never a path."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import RequestError
from allaprima.core.image_modes import to_mask, to_rgb
from allaprima.core.mask import KEEPS_ALL, PixelBox, cut_box
from allaprima.core.surround import Surround

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
    surround: Surround | None = field(default=None, repr=False)
    """The whole picture, where this is a window of one; what is painted is put back into it."""

    def __post_init__(self) -> None:
        size, expected = f"{self.width}x{self.height}", 3 * self.width * self.height
        if len(self.rgb) != expected:
            raise RequestError(f"got {len(self.rgb)} bytes for a {size} picture; expected {expected}")
        check_strength(self.strength)
        if self.mask is None:
            return
        if len(self.mask) != self.width * self.height:
            raise RequestError(
                f"got a mask of {len(self.mask)} bytes for a {size} picture; expected {self.width * self.height}"
            )
        if not any(self.mask):
            raise RequestError(KEEPS_ALL)

    @property
    def area(self) -> str | None:
        """How the base is shown what is painted, in A1111's words; None without a mask."""
        if self.mask is None:
            return None
        return "Whole picture" if self.surround is None else "Only masked"

    @property
    def whole(self) -> InitImage:
        """The whole picture and its mask, at their own size, where this is a window of one; else itself."""
        around = self.surround
        if around is None:
            return self
        width, height = around.width, around.height
        return replace(self, width=width, height=height, rgb=around.rgb, mask=around.mask, surround=None)

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
            mask: what of `image` is painted, as `image_modes.to_mask` reads it; of the same size, and cut with it.

        Raises:
            RequestError: the mask has another size, or nothing of what is left of it is painted.
        """
        from PIL import Image, ImageOps

        from allaprima.core.picture_opening import upright

        size = (width, height)
        picture = to_rgb(upright(image))
        fitted = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        if mask is None:
            return cls(width=width, height=height, rgb=fitted.tobytes(), strength=strength)
        levels = to_mask(upright(mask))
        check_mask_size(levels, picture)
        cut = ImageOps.fit(levels, size, Image.Resampling.BILINEAR)
        return cls(width=width, height=height, rgb=fitted.tobytes(), strength=strength, mask=cut.tobytes())

    @classmethod
    def window(
        cls,
        picture: Image.Image,
        mask: Image.Image,
        box: PixelBox,
        *,
        width: int,
        height: int,
        strength: float,
        fill: bool = False,
    ) -> InitImage:
        """Return the part of an RGB picture in `box` at width x height pixels, to be put back when it is painted.

        What of the box lies outside the picture is filled from its edges, painted, and left out in the end.

        Args:
            picture: RGB.
            mask: grey, of the picture's size, see `core.mask`.
            box: its shape is that of width x height.
            width: pixels.
            height: pixels.
            strength: see the attribute.
            fill: begin with the colours around what is painted, rather than with what is there.
        """
        from PIL import Image

        size = (width, height)
        part, painted = cut_box(picture, mask, box, fill=fill)
        surround = Surround(
            width=picture.width, height=picture.height, rgb=picture.tobytes(), mask=mask.tobytes(), box=box
        )
        return cls(
            width=width, height=height, strength=strength, surround=surround,
            rgb=part.resize(size, Image.Resampling.LANCZOS).tobytes(),
            mask=painted.resize(size, Image.Resampling.BILINEAR).tobytes(),
        )  # fmt: skip

    @classmethod
    def open(cls, path: Path | str, *, width: int, height: int, strength: float = 0.75) -> InitImage:
        """Return the picture file at `path`, as `from_image`.

        Raises:
            PictureError: it cannot be read as a picture, or is larger than `picture_opening` decodes.
        """
        from allaprima.core.picture_opening import open_picture

        return cls.from_image(open_picture(Path(path)), width=width, height=height, strength=strength)


def check_strength(strength: object) -> None:
    """Refuse what is no number from 0 to 1."""
    if not isinstance(strength, int | float) or not 0.0 <= strength <= 1.0:
        raise RequestError(f"got strength {str(strength)[:40]}; expected 0 to 1")


def check_mask_size(mask: Image.Image, picture: Image.Image) -> None:
    """Refuse a mask of another size than its picture."""
    if mask.size != picture.size:
        got, expected = ("{}x{}".format(*each.size) for each in (mask, picture))
        raise RequestError(f"got a mask of {got} pixels; expected {expected}, as the picture has")
