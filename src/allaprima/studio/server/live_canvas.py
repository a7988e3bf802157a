"""The picture and the mask that a live session is painted over, and every change to them.

    canvas = LiveCanvas(caps)
    canvas.set_picture(data, (256, 256))
    canvas.change_picture(Region(x=40, y=8, width=32, height=32, raw=True), rgba)
    init_image = canvas.to_init_image((256, 256), strength=0.6)

A change is made whole or not at all. A canvas belongs to one socket, which calls it in threads, one call at a time:
large pictures take milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PIL import Image, ImageOps

from allaprima.core.errors import RequestError
from allaprima.core.image_modes import to_rgb
from allaprima.core.init_image import InitImage
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.uploads import open_mask, open_upload

CanvasSize = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of the canvas, in its pixels. Raises RequestError for any other."""

    x: int
    """Pixels from the left."""
    y: int
    """Pixels from the top."""
    width: int
    height: int
    raw: bool = False
    """Its bytes are levels without a file around them: RGBA of a picture, one a pixel of a mask."""

    def __post_init__(self) -> None:
        sides: tuple[object, ...] = (self.x, self.y, self.width, self.height)
        whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
        if not whole or min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise RequestError(
                f"got a region {str(sides)[:80]}; expected whole numbers: x and y from 0, width and height from 1"
            )
        if not isinstance(self.raw, bool):
            raise RequestError(f"got raw {str(self.raw)[:40]}; expected true or false")

    @property
    def size(self) -> CanvasSize:
        """Width and height."""
        return self.width, self.height

    def check_inside(self, size: CanvasSize) -> None:
        """Refuse a region that is not wholly inside a canvas of that size."""
        if self.x + self.width > size[0] or self.y + self.height > size[1]:
            raise RequestError(
                f"got a region of {str(self.width)[:20]}x{str(self.height)[:20]} at {str(self.x)[:20]}, "
                f"{str(self.y)[:20]}; expected one inside {size[0]}x{size[1]}"
            )

    def read_picture(self, data: bytes, caps: Caps) -> Image.Image:
        """Return what lies in this region of a picture, as RGB; what is transparent lies on white."""
        return to_rgb(self._raw(data, "RGBA")) if self.raw else self._check_size(open_upload(data, caps))

    def read_mask(self, data: bytes, caps: Caps) -> Image.Image:
        """Return what lies in this region of a mask, as grey."""
        return self._raw(data, "L") if self.raw else self._check_size(open_mask(data, caps))

    def _check_size(self, image: Image.Image) -> Image.Image:
        if image.size != self.size:
            raise RequestError(
                f"got a picture of {image.width}x{image.height}; expected {self.width}x{self.height}, as the "
                "region has"
            )
        return image

    def _raw(self, data: bytes, mode: str) -> Image.Image:
        expected = len(mode) * self.width * self.height
        if len(data) != expected:
            raise RequestError(
                f"got {len(data):,} bytes; expected {expected:,} for a raw region of {self.width}x{self.height}"
            )
        return Image.frombytes(mode, self.size, data)


@dataclass
class LiveCanvas:
    """What one session is painted over; nothing at first."""

    caps: Caps
    _picture: Image.Image | None = field(default=None, repr=False)
    """RGB."""
    _mask: Image.Image | None = field(default=None, repr=False)
    """L, of the picture's size: 0 keeps, 255 paints."""
    _made: InitImage | None = field(default=None, repr=False)
    """What was made of them last; None after a change."""

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return 0 if self._picture is None else self._picture.width * self._picture.height

    def set_picture(self, data: bytes, size: CanvasSize) -> None:
        """Put the picture file `data` down, scaled and cut to cover `size`; a mask of another size is taken away."""
        picture = ImageOps.fit(open_upload(data, self.caps), size, Image.Resampling.LANCZOS)
        if self._mask is not None and self._mask.size != size:
            self._mask = None
        self._picture, self._made = picture, None

    def change_picture(self, region: Region, data: bytes) -> None:
        """Replace a region of the picture."""
        picture = self._require("a region")
        region.check_inside(picture.size)
        picture.paste(region.read_picture(data, self.caps), (region.x, region.y))
        self._made = None

    def set_mask(self, data: bytes) -> None:
        """Put the mask file `data`, which `core.image_modes` reads, over the picture, scaled and cut as that was."""
        size = self._require("a mask").size
        mask = open_mask(data, self.caps)
        self._mask, self._made = ImageOps.fit(mask, size, Image.Resampling.BILINEAR), None

    def change_mask(self, region: Region, data: bytes) -> None:
        """Replace a region of the mask, which keeps everything where there was none."""
        size = self._require("a mask").size
        region.check_inside(size)
        new = region.read_mask(data, self.caps)
        mask = Image.new("L", size, 0) if self._mask is None else self._mask
        mask.paste(new, (region.x, region.y))
        self._mask, self._made = mask, None

    def set_init_image(self, init_image: InitImage) -> None:
        """Put down what another picture was painted over, its mask too, at its own size."""
        whole = init_image.whole
        size = (whole.width, whole.height)
        self._picture = Image.frombytes("RGB", size, whole.rgb)
        self._mask = None if whole.mask is None else Image.frombytes("L", size, whole.mask)
        self._made = None

    def clear_picture(self) -> None:
        """Take the picture away, and the mask, which is of no use without it."""
        self._picture = self._mask = self._made = None

    def clear_mask(self) -> None:
        """Take the mask away: all of the picture is painted over."""
        self._mask = self._made = None

    def to_init_image(self, size: CanvasSize, strength: float) -> InitImage | None:
        """Return what is painted over by a picture of `size`, or None for nothing.

        As long as nothing changes, its levels are the very same objects, so that comparing them costs nothing. A
        canvas of another size is scaled and cut for it, and itself stays as it is.

        Raises:
            RequestError: the strength is out of range, or the mask keeps every pixel.
        """
        if self._picture is None:
            return None
        made = self._made
        if made is None or (made.width, made.height) != size:
            picture = ImageOps.fit(self._picture, size, Image.Resampling.LANCZOS)
            mask = None
            if self._mask is not None:
                mask = ImageOps.fit(self._mask, size, Image.Resampling.BILINEAR).tobytes()
            made = InitImage(
                width=size[0],
                height=size[1],
                rgb=picture.tobytes(),
                strength=strength,
                mask=mask,
                full_steps=True,
            )
        elif made.strength != strength:
            made = replace(made, strength=strength)
        self._made = made
        return made

    def _require(self, what: str) -> Image.Image:
        if self._picture is None:
            raise RequestError(f"got {what} without a picture; expected a picture to paint over first")
        return self._picture
