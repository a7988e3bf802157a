"""How much the engine takes on: what bounds its memory and how finely it divides its time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of an engine."""

    sessions: int = 256
    """Live sessions open at once."""
    jobs: int = 256
    """Jobs of whole pictures that wait or are painted."""
    pictures_per_job: int = 64
    """Requests in one job."""
    pixels_per_pass: int = 2**21
    """Live pictures that share a pass have at most so many pixels together: 32 of 256x256, 2 of 1024x1024."""
    bases: int = 2
    """Bases that are kept loaded."""

    def rows_per_pass(self, width: int, height: int) -> int:
        """Return how many live pictures of this size may share a pass."""
        return max(1, self.pixels_per_pass // (width * height))
