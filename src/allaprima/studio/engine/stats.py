"""What the engine counts, as plain numbers that a metrics page can show. No torch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

LATENCY_BOUNDS_MS = (
    5.0, 10.0, 20.0, 33.0, 50.0, 80.0, 120.0, 200.0, 350.0, 600.0, 1000.0, 1500.0, 3000.0, 10000.0,
)  # fmt: skip
"""Upper ends of the latency histogram's bins."""

COUNTERS = (
    "prompts",  # asked of live sessions
    "prompts_overtaken",  # never shown, for a newer one came
    "frames",  # sent
    "frames_repeated",  # of those, answered without painting
    "failures",  # prompts that could not be painted
    "passes",  # live passes through the model
    "rows",  # live pictures in them
    "predictions",  # model rows computed for live pictures, steps times pictures
    "steps_spared",  # steps of a live picture that were dropped as stale
    "decodes_spared",  # decodes of a live picture that were dropped as stale
    "texts_encoded",
    "texts_known",  # found among those encoded before
    "jobs_done",
    "jobs_failed",
    "jobs_cancelled",
    "pictures",  # whole pictures painted
    "rescues",  # computations that overflowed and were repeated in a wider number format
)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The engine's numbers at one moment."""

    counters: Mapping[str, int]
    """Totals since the start, by the names in `COUNTERS`."""
    sessions: int
    """Live sessions open."""
    jobs_waiting: int
    """Jobs not yet begun."""
    jobs_running: int
    """0 or 1 an engine."""
    latency_counts: tuple[int, ...]
    """First frames by their time from prompt to JPEG: one count per bound of `LATENCY_BOUNDS_MS` (not cumulative) and
    one for all above."""
    latency_sum_ms: float
    """The sum of those times."""
    replicas: int = 1
    """Engines that these numbers are the sums of, and that paint now."""


@dataclass
class Stats:
    """Counters of one engine; its thread writes, others may read."""

    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    latency_sum_ms: float = 0.0

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter; KeyError for a name that is not one."""
        self.counters[name] += amount

    def time_frame(self, milliseconds: float) -> None:
        """Put a first frame's latency into the histogram."""
        self.latency_counts[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1
        self.latency_sum_ms += milliseconds
