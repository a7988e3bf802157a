"""How large a thing is drawn in its spot, and where on the lattice it comes to lie."""

from __future__ import annotations

from allaprima.paint.layout.spots import LATTICE, Spot


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
