"""Painting around a picture (outpainting): how much on each side, and by which windows of a base's size.

    margins = Margins.parse("left=64,top=32")
    windows = plan_windows(margins, (256, 256), (256, 256))

A base that paints the whole canvas at once needs one window. Another is led around the picture, window by window,
and always sees as much of what is there already as it paints anew.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Self

from allaprima.core.errors import RequestError
from allaprima.core.mask import PixelBox

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

MAX_MARGIN_PX = 4096
_EXPECTED = "expected left, top, right and bottom in pixels, such as left=64,top=32"


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Pixels to add on each side of a picture. Raises RequestError unless there is one to add."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for side, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_MARGIN_PX:
                raise RequestError(f"got {side} {str(value)[:20]}; expected 0 to {MAX_MARGIN_PX} pixels")
        if not any(asdict(self).values()):
            raise RequestError(f"got no side to paint on; {_EXPECTED}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the margins that a text such as "left=64,top=32" means."""
        parts = [re.fullmatch(r"(left|top|right|bottom)=(\d{1,6})", part.strip()) for part in text.split(",")]
        sides = {part[1]: int(part[2]) for part in parts if part is not None}
        if len(sides) != len(parts):
            raise RequestError(f"got outpaint {text[:60]!r}; {_EXPECTED}")
        return cls(**sides)

    @classmethod
    def of(cls, sides: Mapping[str, int] | str | Margins) -> Margins:
        """Return the margins of a mapping or a text; those that are given are returned."""
        if isinstance(sides, Margins):
            return sides
        if isinstance(sides, str):
            return cls.parse(sides)
        try:
            return cls(**sides)
        except TypeError:
            raise RequestError(f"got outpaint {str(sides)[:60]}; {_EXPECTED}") from None

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return ",".join(f"{side}={value}" for side, value in asdict(self).items() if value)

    def extend(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the canvas around a picture of width x height pixels."""
        return width + self.left + self.right, height + self.top + self.bottom


def plan_windows(margins: Margins, picture: tuple[int, int], window: tuple[int, int]) -> list[PixelBox]:
    """Return boxes of the canvas, each of the size of `window`, that together cover all that is new.

    They are to be painted in this order: of those that show at least half of what is known, the next is the one that
    adds the most. A box sticks out of a canvas that is smaller than a window.

    Args:
        margins: what is added.
        picture: width and height, in pixels.
        window: width and height of what is painted at once.
    """
    import numpy as np

    width, height = margins.extend(*picture)
    unknown = np.ones((height, width), dtype=bool)
    unknown[margins.top : margins.top + picture[1], margins.left : margins.left + picture[0]] = False
    places = list(product(_places(width, window[0]), _places(height, window[1])))
    boxes: list[PixelBox] = []
    while unknown.any():
        left, top = _next_place(unknown, places, window)
        boxes.append((left, top, left + window[0], top + window[1]))
        unknown[max(top, 0) : top + window[1], max(left, 0) : left + window[0]] = False
    return boxes


def _places(room: int, length: int) -> list[int]:
    """Return where a window may begin along a side: a quarter of its length apart, both ends among them."""
    if room <= length:
        return [(room - length) // 2]
    last = room - length
    return sorted({*range(0, last, max(1, length // 4)), last})


def _next_place(
    unknown: NDArray[np.bool_], places: list[tuple[int, int]], window: tuple[int, int]
) -> tuple[int, int]:
    import numpy as np

    # Sums over any box from four numbers (Crow 1984, summed-area tables).
    sums = np.pad(unknown.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    height, width = unknown.shape

    def new(place: tuple[int, int]) -> int:
        left, right = max(place[0], 0), min(place[0] + window[0], width)
        top, bottom = max(place[1], 0), min(place[1] + window[1], height)
        return int(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    area = window[0] * window[1]
    counts = {place: count for place in places if (count := new(place))}
    sure = {place: count for place, count in counts.items() if 2 * count <= area}
    return max(sure, key=sure.__getitem__) if sure else min(counts, key=counts.__getitem__)
