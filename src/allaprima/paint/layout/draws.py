"""Where random numbers come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Draws(Protocol):
    """Where random numbers come from; `random.Random` is one of these."""

    def random(self) -> float:
        """Return a number in [0, 1)."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""

    def randint(self, a: int, b: int, /) -> int:
        """Return a whole number from a to b, b included."""

    def choice(self, seq: Sequence[Item], /) -> Item:
        """Return one of the items."""
