"""The ways to fit a base into memory, from the quickest to the thriftiest, as plain data.

| residency | text encoder and denoiser | diffusers calls it |
|---|---|---|
| resident | both are on the device all the time | |
| turns | one at a time: a GPU gets it from the computer's memory, a CPU reads its file | model offload |
| streamed | as turns, but the denoiser's layers come one by one, each while the one before computes | group offload |
| sequential | the layers of both come when they are needed | sequential offload |

The autoencoder is small and stays on the device. A tiled plan decodes and encodes a tile at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from allaprima.core.errors import OutOfMemoryError

Residency = Literal["resident", "turns", "streamed", "sequential"]
"""Where text encoder and denoiser are; see the module docstring."""

GIB = 2**30
RESERVE = GIB // 2
"""Bytes of a GPU that its driver and libraries take, which torch does not count."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """One way to fit a base into memory."""

    residency: Residency = "resident"
    tiled: bool = False
    """Whether to decode and encode in tiles."""

    def __str__(self) -> str:
        """Return its name, such as "turns, tiled"."""
        return f"{self.residency}, tiled" if self.tiled else self.residency


RESIDENT = MemoryPlan()
_EVERYWHERE = (RESIDENT, MemoryPlan(tiled=True), MemoryPlan(residency="turns", tiled=True))
_ON_GPUS = (MemoryPlan(residency="streamed", tiled=True), MemoryPlan(residency="sequential", tiled=True))


def plans_for(device: str, *, reloads: bool = True) -> tuple[MemoryPlan, ...]:
    """Return the plans for a kind of device, such as "cuda", from the quickest to the thriftiest.

    Args:
        reloads: see `BaseTraits.reloads`; False leaves out "turns" on a CPU.
    """
    if device == "cpu":
        return _EVERYWHERE if reloads else _EVERYWHERE[:2]
    return (*_EVERYWHERE, *_ON_GPUS)


def find_thriftier(plan: MemoryPlan, device: str, *, reloads: bool = True) -> MemoryPlan | None:
    """Return the next thriftier plan; None after the last."""
    plans = plans_for(device, reloads=reloads)
    return next(iter(plans[plans.index(plan) + 1 :]), None)


@dataclass(frozen=True, kw_only=True)
class MemoryForecast:
    """The bytes that a plan is expected to take."""

    plan: MemoryPlan
    bytes_by_moment: dict[str, int]
    """All that is on the device while it loads, encodes text, predicts and decodes."""
    resident: dict[str, int]
    """Weights that stay on the device, by part."""
    visiting: dict[str, int]
    """Weights that come and go, by part."""
    reserve: int = 0
    """Bytes for the device itself: `RESERVE` on a GPU."""

    @property
    def peak_bytes(self) -> int:
        """The most bytes at any moment."""
        return max(self.bytes_by_moment.values())

    @property
    def needed_bytes(self) -> int:
        """The least limit that it fits into, the reserve included."""
        return self.peak_bytes + self.reserve

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "plan": str(self.plan), "residency": self.plan.residency, "tiled": self.plan.tiled,
            "peak_bytes": self.peak_bytes, "needed_bytes": self.needed_bytes,
            "bytes_by_moment": self.bytes_by_moment, "resident": self.resident, "visiting": self.visiting,
        }  # fmt: skip


def choose_plan(forecasts: list[MemoryForecast], limit_bytes: int, device: str) -> MemoryForecast:
    """Return the forecast of the quickest plan that fits into `limit_bytes`.

    Raises:
        OutOfMemoryError: no plan fits; the error says how much the thriftiest needs.
    """
    for forecast in forecasts:
        if forecast.needed_bytes <= limit_bytes:
            return forecast
    least = min(forecasts, key=lambda forecast: forecast.needed_bytes)
    raise OutOfMemoryError(
        f"got {limit_bytes / GIB:.2f} GiB of memory for {device}; expected at least {gib(least.needed_bytes)}, "
        f'which the plan "{least.plan}" needs: allow more, or paint a smaller picture'
    )


def first_plan(
    stored_bytes: int, available: int | None, forecast: Callable[[], list[MemoryForecast]]
) -> MemoryPlan:
    """Return the plan to begin with where the user set no limit.

    Args:
        available: bytes of free memory; None if the system does not say.
        forecast: called only if the weights, at twice their width, could fill the memory.

    Returns:
        The quickest plan that fits, or the thriftiest if none does, since memory may yet become free.
    """
    if available is None or 2 * stored_bytes < available:
        return RESIDENT
    forecasts = forecast()
    fitting = (entry.plan for entry in forecasts if entry.needed_bytes <= available)
    return next(fitting, forecasts[-1].plan)


def gib(size: int) -> str:
    """Return a size in words, rounded up so that a limit of this size is enough."""
    return f"{-(-size * 100 // GIB) / 100:.2f} GiB"
