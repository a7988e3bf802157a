"""A painted picture as plain bytes, and the request it was painted from."""

from __future__ import annotations

from dataclasses import dataclass, field

from allaprima.core.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels and their request; equal pictures are equal bit for bit."""

    request: GenerationRequest
    """What it was painted from."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rgb: bytes = field(repr=False)
    """Rows from the top, three bytes (red, green, blue) a pixel: 3 * width * height bytes in all."""

    def __post_init__(self) -> None:
        """Refuse bytes that do not fill the picture exactly."""
        expected = 3 * self.width * self.height
        if len(self.rgb) != expected:
            raise ValueError(
                f"got {len(self.rgb)} bytes for a {self.width}x{self.height} picture; expected {expected}"
            )
