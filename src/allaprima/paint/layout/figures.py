"""How large a thing is drawn in its spot, where on the lattice it comes to lie, and where its parts are.

Scenes are rendered by the same arithmetic, so that a completed box is the box that the renderer would draw.
"""

from __future__ import annotations

from dataclasses import dataclass

from allaprima.core.layout import Box, Thing
from allaprima.paint.layout.spots import LATTICE, PERSON, Spot


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What the renderer draws of a kind, dressed or not: its proportions and, as fractions of it, its parts."""

    width: int
    height: int
    """Pixels of the sprite; only their ratio matters."""
    worn: Box | None = None
    face: Box | None = None

    def parts(self, accessory: str | None, whole: Box, number: int) -> list[Thing]:
        """Return the parts of a thing whose box is `whole`, in the order in which they are drawn."""
        named = (("face", self.face), (accessory, self.worn))
        return [
            Thing(kind=kind, box=box.within(whole), layer="part", number=number)
            for kind, box in named
            if kind is not None and box is not None
        ]


def room_of(spot: Spot, side: int) -> tuple[int, int]:
    """Return the pixels that a spot has, width and height, in a picture of `side` pixels.

    They are even, so that a sprite made once in a size serves again.
    """
    return max(2, 2 * round(spot.width * side / 2)), max(2, 2 * round(spot.height * side / 2))


def fitted_size(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size in proportion to `size` that fits into a room; widths and heights in pixels."""
    scale = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def corner_of(spot: Spot, size: tuple[int, int], side: int, *, person: bool, near: bool) -> tuple[int, int]:
    """Return the left and top pixel of what is drawn in a spot, `size` pixels large, on the lattice.

    What is `near`, as a portrait, may reach past every edge and a bust past the lower one; all else stays inside.
    """
    width, height = size
    cell = side // LATTICE
    left = cell * round((spot.x * side - width / 2) / cell)
    top = cell * round((spot.foot * side - height) / cell)
    if near:
        return left, top
    left = min(max(0, left), (side - width) // cell * cell)
    if person:
        return left, -(-(side - height) // cell) * cell
    return left, min(max(0, top), (side - height) // cell * cell)


_SIDE = 256
"""Pixels of the pictures that Vignette learned from: boxes end at whole pixels of these."""


def box_of(spot: Spot, outline: Outline, kind: str, *, near: bool) -> Box:
    """Return the box of a thing of a kind in its spot."""
    size = fitted_size((outline.width, outline.height), room_of(spot, _SIDE))
    left, top = corner_of(spot, size, _SIDE, person=kind == PERSON, near=near)
    return Box.of_pixels((left, top, left + size[0], top + size[1]), (_SIDE, _SIDE))
