"""What stands where in a picture: things with boxes, as plain data.

Coordinates are fractions of the picture's sides, (0, 0) at the top left. A box may reach past the picture's edge: a
portrait's does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

LayoutLayer = Literal["subject", "part", "behind", "ground"]
"""What the picture shows; a part of it, such as a face; what stands behind it; what all of this stands on."""
LAYERS: Final[tuple[LayoutLayer, ...]] = get_args(LayoutLayer)


class Box(NamedTuple):
    """A rectangle in fractions of the picture's sides."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of_pixels(cls, box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
        """Return a box in pixels of a picture of this size, width and height."""
        (left, top, right, bottom), (width, height) = box, size
        return cls(left / width, top / height, right / width, bottom / height)

    @property
    def width(self) -> float:
        """Distance from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Distance from top to bottom."""
        return self.bottom - self.top

    def within(self, outer: Box) -> Box:
        """Return this box, which is in fractions of `outer`, in fractions of what `outer` is in."""
        left, right = (outer.left + x * outer.width for x in (self.left, self.right))
        top, bottom = (outer.top + y * outer.height for y in (self.top, self.bottom))
        return Box(left, top, right, bottom)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing of a picture and where it stands."""

    kind: str
    """What it is, in a word or two: `cat`, `person`, `palm tree`, `sun`."""
    box: Box
    layer: LayoutLayer = "subject"
    number: int = 0
    """Which of the subjects it is or is a part of, counted from the left."""
    color: tuple[int, int, int] | None = None
    """Its colour by daylight; None leaves it open."""

    def __post_init__(self) -> None:
        """Refuse an empty box, an unknown layer and a negative number."""
        kind, box = self.kind, self.box
        if not (all(map(math.isfinite, box)) and box.width > 0 and box.height > 0):
            raise ValueError(f"got the box {tuple(box)} for {kind!r}; expected left < right and top < bottom")
        if self.layer not in LAYERS:
            raise ValueError(
                f"got the layer {self.layer!r} for {kind!r}; expected one of {', '.join(LAYERS)}"
            )
        if self.number < 0:
            raise ValueError(f"got the number {self.number} for {kind!r}; expected 0 or more")


Layout = tuple[Thing, ...]
"""The things of one picture, from back to front: where two cover each other, the later one is seen."""


@dataclass(frozen=True, kw_only=True)
class PaintedLayout:
    """What a base is told stands where in a picture."""

    things: Layout = ()
    whole: frozenset[LayoutLayer] = frozenset()
    """The layers of which these are all the things in the picture; in others more may stand anywhere."""
