"""One figure of an evaluation, with what must be reached and what is aimed at, whatever its unit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["more", "less"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure and how it is judged."""

    name: str
    value: float | None
    """None where it could not be measured."""
    unit: str
    better: Better
    must: float | None = None
    """None where it is told only."""
    aim: float | None = None

    @property
    def state(self) -> str:
        """How the value stands against what must be reached and what is aimed at."""
        if self.value is None:
            return "not measured"
        if self.must is None:
            return "told only"
        sign = 1 if self.better == "more" else -1
        if self.aim is not None and sign * self.value >= sign * self.aim:
            return "aim reached"
        return "reached" if sign * self.value >= sign * self.must else "short"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "state": self.state}
