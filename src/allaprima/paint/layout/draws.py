"""Random draws by name: each decision about a picture draws for itself, so that changing one leaves the others.

    draws = SeededDraws(7, "sky")
    draws.uniform(0.1, 0.3)

A draw is a digest of the seed, the name and its number, so it is the same with every version of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
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


class SeededDraws:
    """The draws of one decision for one seed, one after another."""

    def __init__(self, seed: int, name: str) -> None:
        self._prefix = f"{seed} {name} "
        self._count = 0

    def random(self) -> float:
        """Return a number in [0, 1)."""
        digest = blake2b(f"{self._prefix}{self._count}".encode(), digest_size=8).digest()
        self._count += 1
        return (int.from_bytes(digest, "big") >> 11) / 2**53

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""
        return a + (b - a) * self.random()

    def randint(self, a: int, b: int, /) -> int:
        """Return a whole number from a to b, b included."""
        return a + int(self.random() * (b - a + 1))

    def choice(self, seq: Sequence[Item], /) -> Item:
        """Return one of the items."""
        return seq[int(self.random() * len(seq))]
