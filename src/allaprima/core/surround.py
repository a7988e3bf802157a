"""The whole picture that an init image is a window of, and how the window is put back into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from allaprima.core.mask import PixelBox


@dataclass(frozen=True, kw_only=True)
class Surround:
    """A picture, the box of it that is painted, and which pixels of the box are."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes a pixel."""
    mask: bytes = field(repr=False)
    """One byte a pixel: 0 keeps it, bit for bit, 255 paints it."""
    box: PixelBox
    """Where the window lies."""

    def complete(self, rgb: bytes, width: int, height: int) -> bytes:
        """Return the picture's pixels with those of its window, which was painted at width x height, put in."""
        from PIL import Image

        size, (left, top, right, bottom) = (self.width, self.height), self.box
        window = Image.frombytes("RGB", (width, height), rgb)
        if window.size != (right - left, bottom - top):
            window = window.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        picture = Image.frombytes("RGB", size, self.rgb)
        painted = picture.copy()
        painted.paste(window, (left, top))
        return Image.composite(painted, picture, Image.frombytes("L", size, self.mask)).tobytes()
