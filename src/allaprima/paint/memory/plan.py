"""The ways to fit a base into memory, from the quickest to the thriftiest, as plain data.

| residency | the text encoder and the denoiser |
|---|---|
| resident | are on the device all the time |
| turns | are there one after the other: on a GPU from the computer's memory, on the CPU from the file |
| streamed | come to the GPU layer by layer, the next one while this one computes |
| sequential | come to the GPU layer by layer when they are needed, the text encoder's too |

The autoencoder is small and stays. Tiled, its work is done a tile at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from allaprima.core.errors import OutOfMemoryError

Residency = Literal["resident", "turns", "streamed", "sequential"]

GIB = 2**30
RESERVE = GIB // 2
"""What a GPU keeps for its driver and the libraries' own buffers, beyond what torch counts."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """One way to fit a base into memory."""

    residency: Residency = "resident"
    tiled: bool = False
    """Decode and encode in tiles."""

    def __str__(self) -> str:
        """Return its name, such as "turns, tiled"."""
        return f"{self.residency}, tiled" if self.tiled else self.residency


RESIDENT = MemoryPlan()
_EVERYWHERE = (RESIDENT, MemoryPlan(tiled=True), MemoryPlan(residency="turns", tiled=True))
_ON_GPUS = (MemoryPlan(residency="streamed", tiled=True), MemoryPlan(residency="sequential", tiled=True))


def plans_for(device: str, family: str = "") -> tuple[MemoryPlan, ...]:
    """Return the plans for a kind of device, such as "cuda", and a family of bases, from quick to thrifty.

    Vignette takes no turns on a CPU: its weights are small, and reading them again takes more than they do.
    """
    if device == "cpu" and family == "vignette":
        return _EVERYWHERE[:2]
    return _EVERYWHERE if device == "cpu" else (*_EVERYWHERE, *_ON_GPUS)


def thriftier(plan: MemoryPlan, device: str, family: str = "") -> MemoryPlan | None:
    """Return the next thriftier plan; None after the last."""
    known = plans_for(device, family)
    return next(iter(known[known.index(plan) + 1 :]), None)


@dataclass(frozen=True, kw_only=True)
class MemoryForecast:
    """What a plan is expected to take."""

    plan: MemoryPlan
    bytes_by_moment: dict[str, int]
    """What is taken while loading, reading the text, predicting and decoding, with all that rests there then."""
    resident: dict[str, int]
    """Weights that are there all the time, by part."""
    visiting: dict[str, int]
    """Weights that come and go, by part."""
    reserve: int = 0
    """What the device keeps beside all that: `RESERVE` on a GPU."""

    @property
    def peak_bytes(self) -> int:
        """The most at any moment."""
        return max(self.bytes_by_moment.values())

    @property
    def needed_bytes(self) -> int:
        """What has to be allowed for it, the device's reserve included."""
        return self.peak_bytes + self.reserve

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "plan": str(self.plan),
            "residency": self.plan.residency,
            "tiled": self.plan.tiled,
            "peak_bytes": self.peak_bytes,
            "needed_bytes": self.needed_bytes,
            "bytes_by_moment": self.bytes_by_moment,
            "resident": self.resident,
            "visiting": self.visiting,
        }


def choose(forecasts: list[MemoryForecast], limit_bytes: int, where: str) -> MemoryForecast:
    """Return the quickest plan that fits into `limit_bytes`.

    Raises:
        OutOfMemoryError: none does; says how much the thriftiest needs.
    """
    for forecast in forecasts:
        if forecast.needed_bytes <= limit_bytes:
            return forecast
    least = min(forecasts, key=lambda forecast: forecast.needed_bytes)
    raise OutOfMemoryError(
        f"got {limit_bytes / GIB:.2f} GiB of memory for {where}; expected at least {gib(least.needed_bytes)}, "
        f'which the plan "{least.plan}" needs: allow more, or paint a smaller picture'
    )


def begin_with(stored: int, room: int | None, foresee: Callable[[], list[MemoryForecast]]) -> MemoryPlan:
    """Return the plan to begin with where nobody set a limit.

    Args:
        stored: bytes of the files of weights.
        room: bytes that there are; None if nobody tells.
        foresee: what plans take; asked only if the weights, at twice their width, could fill the room.

    Returns:
        the quickest that fits, or else the thriftiest, for room may be found yet.
    """
    if room is None or 2 * stored < room:
        return RESIDENT
    foreseen = foresee()
    return next((one.plan for one in foreseen if one.needed_bytes <= room), foreseen[-1].plan)


def gib(size: int) -> str:
    """Return a size in words, rounded up so that allowing as much is enough."""
    return f"{-(-size * 100 // GIB) / 100:.2f} GiB"
