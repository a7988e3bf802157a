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
        return Box(
            outer.left + self.left * outer.width,
            outer.top + self.top * outer.height,
            outer.left + self.right * outer.width,
            outer.top + self.bottom * outer.height,
        )


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
        if not (all(map(math.isfinite, self.box)) and self.box.width > 0 and self.box.height > 0):
            raise ValueError(
                f"got the box {tuple(self.box)} for {self.kind!r}; expected left < right and top < bottom"
            )
        if self.layer not in LAYERS:
            raise ValueError(
                f"got the layer {self.layer!r} for {self.kind!r}; expected one of {', '.join(LAYERS)}"
            )
        if self.number < 0:
            raise ValueError(f"got the number {self.number} for {self.kind!r}; expected 0 or more")


Layout = tuple[Thing, ...]
"""The things of one picture, from back to front: where two cover each other, the later one is seen."""
