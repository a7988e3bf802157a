"""A painted picture as plain bytes, and the request it was painted from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from allaprima.core.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Rescues:
    """What overflowed on the way to a picture and was computed again in a wider number format."""

    texts: int = 0
    """Readings of the prompts."""
    steps: int = 0
    """Predictions; from the first one on, the picture is painted in the wider format."""
    decodes: int = 0
    """Passes through the autoencoder, previews included."""

    @property
    def total(self) -> int:
        """How many there were in all."""
        return self.texts + self.steps + self.decodes

    def counts(self) -> dict[str, int]:
        """Return what is not zero, by name."""
        return {name: count for name, count in asdict(self).items() if count}

    def __add__(self, other: Rescues) -> Rescues:
        return Rescues(
            texts=self.texts + other.texts,
            steps=self.steps + other.steps,
            decodes=self.decodes + other.decodes,
        )


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
    rescues: Rescues = Rescues()
    """What had to be computed again to get it; nothing, as a rule."""

    def __post_init__(self) -> None:
        """Refuse bytes that do not fill the picture exactly."""
        expected = 3 * self.width * self.height
        if len(self.rgb) != expected:
            raise ValueError(
                f"got {len(self.rgb)} bytes for a {self.width}x{self.height} picture; expected {expected}"
            )
