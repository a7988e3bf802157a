"""Masks as grey images (mode L) of a picture's size: 0 keeps a pixel, 255 paints it.

mask = feather(to_mask(image), 8)
box = painted_box(mask, padding=32, size=(256, 256))
filled = fill_painted(picture, mask)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allaprima.core.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

PixelBox = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels; a box may stick out of its picture."""

KEEPS_ALL = (
    "got a mask that keeps every pixel; expected some to paint: white, or transparent where it has alpha"
)
MAX_FEATHER_PX = 64
MAX_FILLED_PIXELS = 2**25
"""Of what is looked at to fill a part of it: some 30 bytes each."""


def feather(mask: Image.Image, width_px: int) -> Image.Image:
    """Return `mask` with an edge that rises over `width_px` pixels inside it, so that what it keeps is still kept.

    It is the average of the mask and of what is left of it as its edge is worn away, a pixel at a time. What is too
    thin for that has a narrower edge, so that its middle is painted as the mask says.
    """
    if not 0 <= width_px <= MAX_FEATHER_PX:
        raise RequestError(f"got a feather of {width_px} pixels; expected 0 to {MAX_FEATHER_PX}")
    painted = mask.getbbox()
    if width_px < 2 or painted is None:
        return mask
    left, top, right, bottom = painted
    box = max(left - 1, 0), max(top - 1, 0), min(right + 1, mask.width), min(bottom + 1, mask.height)
    edged = mask.copy()
    edged.paste(_wear(mask.crop(box), width_px), box[:2])
    return edged


def _wear(mask: Image.Image, width_px: int) -> Image.Image:
    """Return the average of a mask and of what is left of it, of as many as there are anywhere near."""
    import numpy as np
    from PIL import Image, ImageFilter

    total = np.zeros((mask.height, mask.width), dtype=np.uint16)
    depth, worn = np.zeros((mask.height, mask.width), dtype=np.uint8), mask
    for _ in range(width_px):
        total += np.asarray(worn)
        depth += np.asarray(worn) > 0
        worn = worn.filter(ImageFilter.MinFilter(3))
    return Image.fromarray((total // np.maximum(_deepest_near(depth, width_px), 1)).astype(np.uint8))


def _deepest_near(depth: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """Return to each pixel of (H, W) the largest within `reach` pixels, or within some more."""
    import numpy as np
    from PIL import Image, ImageFilter

    height, width = depth.shape
    padded = np.pad(depth, ((0, -height % reach), (0, -width % reach)))
    rows, columns = padded.shape[0] // reach, padded.shape[1] // reach
    tiles = padded.reshape(rows, reach, columns, reach).max((1, 3))
    near = np.asarray(Image.fromarray(tiles).filter(ImageFilter.MaxFilter(3)))
    return near.repeat(reach, 0).repeat(reach, 1)[:height, :width]


def painted_box(mask: Image.Image, *, padding: int, size: tuple[int, int]) -> PixelBox:
    """Return the smallest box of the shape of `size` around all that is painted, and `padding` pixels on every side.

    Padding ends where the picture does. The box lies inside the picture where it fits there. RequestError if nothing
    is painted.
    """
    painted = mask.getbbox()
    if painted is None:
        raise RequestError(KEEPS_ALL)
    left, top = max(painted[0] - padding, 0), max(painted[1] - padding, 0)
    right, bottom = min(painted[2] + padding, mask.width), min(painted[3] + padding, mask.height)
    wide, high = right - left, bottom - top
    scale = max(wide / size[0], high / size[1])
    wide, high = max(wide, round(scale * size[0])), max(high, round(scale * size[1]))
    x = _placed((left + right - wide) // 2, wide, mask.width)
    y = _placed((top + bottom - high) // 2, high, mask.height)
    return x, y, x + wide, y + high


def _placed(start: int, length: int, room: int) -> int:
    """Return where a stretch of `length` lies in `room`: near `start`, or around the middle if it is too long."""
    return (room - length) // 2 if length > room else min(max(start, 0), room - length)


def cut_box(
    picture: Image.Image, mask: Image.Image, box: PixelBox, *, fill: bool
) -> tuple[Image.Image, Image.Image]:
    """Return a box of an RGB picture and of its mask; what lies outside the picture is filled, and painted.

    With `fill` what is painted is filled too. Its colours come from as far around the box as this is large, for all
    of it may be painted, and no farther than the picture goes. RequestError if that is too much to look at.
    """
    from PIL import Image, ImageChops

    left, top, right, bottom = box
    inside = min(left, top) >= 0 and right <= picture.width and bottom <= picture.height
    if inside and not fill:
        return picture.crop(box), mask.crop(box)
    around = _surroundings(box, picture.size)
    outside = Image.new("L", (around[2] - around[0], around[3] - around[1]), 255)
    outside.paste(0, (-around[0], -around[1], picture.width - around[0], picture.height - around[1]))
    near, painted = picture.crop(around), ImageChops.lighter(mask.crop(around), outside)
    near = fill_painted(near, painted if fill else outside)
    x, y = left - around[0], top - around[1]
    inner = (x, y, x + right - left, y + bottom - top)
    return near.crop(inner), painted.crop(inner)


def _surroundings(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    """Return the box and half its size on every side, as far as there is a picture of `size`."""
    left, top, right, bottom = box
    x, y = (right - left) // 2, (bottom - top) // 2
    around = (
        max(left - x, min(left, 0)), max(top - y, min(top, 0)),
        min(right + x, max(right, size[0])), min(bottom + y, max(bottom, size[1])),
    )  # fmt: skip
    if (around[2] - around[0]) * (around[3] - around[1]) > MAX_FILLED_PIXELS:
        raise RequestError(
            f"got a window of {right - left}x{bottom - top} pixels around what is painted; expected at most "
            f"{MAX_FILLED_PIXELS:,} with what is near it: a smaller mask, or a size with the picture's proportions"
        )
    return around


def fill_painted(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the RGB `image` with what is painted filled by the colours around it, the softer the farther away.

    Push and pull (Gortler et al. 1996, "The Lumigraph", section 3.4): the kept pixels are averaged in ever coarser
    grids, and each grid's holes are filled from the next coarser one.
    """
    import numpy as np
    from PIL import Image

    if mask.getbbox() is None:
        return image
    weight = 1.0 - np.asarray(mask, dtype=np.float32) / 255.0
    return Image.merge("RGB", [_fill(channel, weight) for channel in image.split()])


def _fill(channel: Image.Image, weight: Any) -> Image.Image:
    """Return a channel with its unknown part filled; one after the other they take a third of the memory."""
    import numpy as np
    from PIL import Image

    filled = _pull(np.asarray(channel, dtype=np.float32) * weight, weight)
    filled = np.where(weight == 1.0, np.asarray(channel), filled)
    return Image.fromarray(filled.round().astype(np.uint8))


def _pull(sums: Any, weight: Any) -> Any:
    """Return the values (H, W) of which `sums` is the part that is known, by `weight` (H, W) in [0, 1]."""
    import numpy as np
    from PIL import Image

    height, width = weight.shape
    if weight.min() == 1.0:
        return sums
    if max(height, width) == 1:  # nothing is known
        return sums / np.maximum(weight, 1e-6)
    coarse_weight = _halve(weight)
    known = np.minimum(coarse_weight, 1.0)
    coarse = _pull(_halve(sums) * known / np.maximum(coarse_weight, 1e-6), known)
    size = (2 * coarse.shape[1], 2 * coarse.shape[0])
    fine = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    pulled = 1.0 - weight  # in place from here: such pictures are large
    pulled *= fine[:height, :width]
    pulled += sums
    return pulled


def _halve(values: Any) -> Any:
    """Return the sums (H/2, W/2) of 4 x 4 windows, which overlap: a hole's edge may lie between two of 2 x 2."""
    import numpy as np

    for axis in (0, 1):
        length = values.shape[axis]
        pad = [(0, 0)] * 2
        pad[axis] = (1, 1 + length % 2)
        padded = np.moveaxis(np.pad(values, pad), axis, 0)
        pairs = padded[0::2] + padded[1::2]
        values = np.moveaxis(pairs[:-1] + pairs[1:], 0, axis)
    return values
