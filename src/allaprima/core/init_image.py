"""A picture to paint over: pixels, never a path."""

from __future__ import annotations

from dataclasses import dataclass, field

from allaprima.core.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class InitImage:
    """What lies under a picture and how much of it is painted over. Raises RequestError for other values."""

    width: int
    """Pixels; those of the picture."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes a pixel."""
    strength: float = 0.75
    """0 keeps it as it is, 1 forgets it."""

    def __post_init__(self) -> None:
        """Refuse bytes that do not fill the picture, and a strength out of range."""
        if len(self.rgb) != 3 * self.width * self.height:
            raise RequestError(
                f"got {len(self.rgb)} bytes for a {self.width}x{self.height} picture; "
                f"expected {3 * self.width * self.height}"
            )
        if not 0.0 <= self.strength <= 1.0:
            raise RequestError(f"got strength {self.strength}; expected 0 to 1")
