"""What a person starts from: a picture, perhaps a mask or sides to extend it on, and how much of it is painted over.

start = StartingPicture.of("cat.png", mask="mask.png", strength=0.8)
init_image = start.init_image(width=256, height=256)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.image_modes import alpha_mask, is_transparent, to_mask, to_rgb
from allaprima.core.init_image import InitImage, check_mask_size, check_strength
from allaprima.core.mask import KEEPS_ALL, feather, fill_painted, painted_box
from allaprima.core.outpaint import Margins
from allaprima.core.picture import Picture

if TYPE_CHECKING:
    from PIL import Image

STRENGTH = 0.75
"""How much of a picture is painted over where nobody says."""
PART_STRENGTH = 1.0
"""How much where a mask or sides say what is painted: that is to be new."""
FEATHER_PX = 8
"""The edge of a mask."""
SIDE_FEATHER_PX = 16
"""The edge around a picture that is extended, where nothing is there to be seen through it but colours."""
MAX_PADDING_PX = 4096


@dataclass(frozen=True, kw_only=True)
class StartingPicture:
    """A picture and what is to become of it. Raises RequestError for what does not go together."""

    picture: Image.Image = field(repr=False)
    """RGB, upright, of any size."""
    mask: Image.Image | None = field(default=None, repr=False)
    """Grey, of its size, with a soft edge: what is painted; None for all of it."""
    strength: float = STRENGTH
    """0 keeps what is painted as it is, 1 forgets it."""
    padding_px: int | None = None
    """Of a mask, show the base a window with so much around what is painted; None for the whole picture."""
    margins: Margins | None = None
    """What is painted around the picture."""
    feather_px: int = FEATHER_PX
    """How wide the edge of what is painted is, inside it."""

    @classmethod
    def of(
        cls,
        image: object,
        *,
        mask: object = None,
        strength: float | None = None,
        padding_px: int | None = None,
        outpaint: Margins | Mapping[str, int] | str | None = None,
        feather_px: int | None = None,
    ) -> Self:
        """Return what a person gives, whatever they call an image: a file, a picture or a PIL image.

        Args:
            image: what to start from.
            mask: what of it is painted: white, or transparent in a mask with a transparent pixel.
            strength: see the attribute; None for 0.75, or 1 with a mask or sides.
            padding_px: see the attribute.
            outpaint: sides to extend it on, such as {"left": 64} or "left=64".
            feather_px: see the attribute; None for 8 pixels, or 16 around a picture.

        Raises:
            RequestError: something is out of range, or does not go together.
            PictureError: a file cannot be read as a picture.
        """
        if mask is not None and outpaint is not None:
            raise RequestError(
                "got a mask and sides to extend the picture on; expected one of them at a time"
            )
        if mask is None and padding_px is not None:
            raise RequestError("got a padding without a mask; expected one that says what is painted")
        if mask is None and outpaint is None and feather_px is not None:
            raise RequestError(
                "got a feather without a mask; expected one, or sides to extend the picture on"
            )
        if padding_px is not None and not 0 <= padding_px <= MAX_PADDING_PX:
            raise RequestError(f"got a padding of {padding_px} pixels; expected 0 to {MAX_PADDING_PX}")
        margins = None if outpaint is None else Margins.of(outpaint)
        wide = (FEATHER_PX if margins is None else SIDE_FEATHER_PX) if feather_px is None else feather_px
        opened = to_image(image)
        picture = to_rgb(opened)
        if mask is not None and is_transparent(opened):
            # The white that it lies on elsewhere would shine through at the mask's edges.
            picture = fill_painted(picture, alpha_mask(opened))
        grey = None if mask is None else to_mask(to_image(mask))
        if grey is not None:
            check_mask_size(grey, picture)
            grey = feather(grey, wide)
            if grey.getbbox() is None:
                raise RequestError(KEEPS_ALL)
        part = mask is not None or margins is not None
        if strength is not None:
            check_strength(strength)
        return cls(
            picture=picture, mask=grey, padding_px=padding_px, margins=margins, feather_px=wide,
            strength=(PART_STRENGTH if part else STRENGTH) if strength is None else strength,
        )  # fmt: skip

    def check_fields(self, given: Mapping[str, Any]) -> None:
        """Refuse a size, among the fields of a request that are given, where the sides to be added decide it."""
        if self.margins is not None and not given.keys().isdisjoint(("width", "height")):
            raise RequestError(
                "got a size for a picture that is extended; expected none, for the picture and its new sides say it"
            )

    def init_image(self, *, width: int, height: int) -> InitImage:
        """Return it for pictures of width x height pixels: scaled to cover them and cut, or the window of a mask.

        Raises:
            RequestError: nothing of what is left of it is painted, or the strength is none.
        """
        if self.padding_px is None or self.mask is None:
            return InitImage.from_image(
                self.picture, width=width, height=height, strength=self.strength, mask=self.mask
            )
        box = painted_box(self.mask, padding=self.padding_px, size=(width, height))
        return InitImage.window(
            self.picture, self.mask, box, width=width, height=height, strength=self.strength
        )


def to_image(image: object) -> Image.Image:
    """Return what a person calls an image, a file, a picture or a PIL image, upright; PictureError for others."""
    from PIL import Image

    from allaprima.core.picture_opening import open_picture, upright

    if isinstance(image, Path | str):
        return open_picture(Path(image))
    pixels = image.image if isinstance(image, Picture) else image
    if not isinstance(pixels, Image.Image):
        raise PictureError(
            f"got {type(image).__name__} as an image; expected a file, a picture or a PIL image"
        )
    return upright(pixels)
