"""Forecasts whose bytes are known."""

from __future__ import annotations

from allaprima.paint.memory.plan import GIB, RESIDENT, MemoryForecast, MemoryPlan

TILED, TURNS = MemoryPlan(tiled=True), MemoryPlan(residency="turns", tiled=True)


def forecast_of(plan: MemoryPlan, peak: int, reserve: int = 0) -> MemoryForecast:
    """Return a forecast whose largest moment is `peak` bytes."""
    moments = {"load": peak // 2, "decode": peak}
    return MemoryForecast(plan=plan, bytes_by_moment=moments, resident={}, visiting={}, reserve=reserve)


THREE = [forecast_of(RESIDENT, 4 * GIB), forecast_of(TILED, 3 * GIB), forecast_of(TURNS, 2 * GIB)]
