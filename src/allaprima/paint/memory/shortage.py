"""Running out of memory: how errors say so, and how much memory there is."""

from __future__ import annotations

from pathlib import Path

import torch

from allaprima.core.errors import OutOfMemoryError, WeightsError
from allaprima.core.system_limits import address_space_bytes
from allaprima.paint.memory.plan import MemoryForecast, MemoryPlan, gib
from allaprima.paint.memory.process_memory import address_bytes, resident_bytes

_SIGNS = (
    "can't allocate memory", "not enough memory", "out of memory", "could not create a memory object",
    "could not create a primitive", "unable to mmap", "cannot allocate memory",
)  # fmt: skip
"""The words of the CPU's allocator, oneDNN and mmap, in a RuntimeError or OSError."""
MAY_TELL = (MemoryError, RuntimeError, OSError, WeightsError)
"""The errors to ask `is_shortage` about; a file may have been unreadable only for want of memory."""
_MEMINFO = Path("/proc/meminfo")


def is_shortage(error: BaseException) -> bool:
    """Return whether `error` says that memory ran out."""
    if isinstance(error, OutOfMemoryError):
        return False
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, WeightsError):
        return error.__cause__ is not None and is_shortage(error.__cause__)
    said = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(sign in said for sign in _SIGNS)


def available_bytes(device: torch.device) -> int | None:
    """Return how much this process may take on `device`; None if the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limit = address_space_bytes()
    # The limit counts addresses, of which a process uses many more than memory; only what is left of it matters.
    limits = [] if limit is None else [limit - address_bytes() + resident_bytes()]
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    limits += [
        int(line.split()[1]) * 1024 + resident_bytes() for line in lines if line.startswith("MemAvailable:")
    ]
    return min(limits, default=None)


def shortage(plan: MemoryPlan, forecasts: list[MemoryForecast], available: int | None) -> OutOfMemoryError:
    """Return the error for a picture that did not fit under `plan`, naming a plan that would."""
    plans = [forecast.plan for forecast in forecasts]
    thriftier = forecasts[plans.index(plan) + 1 :] if plan in plans else []
    fitting = [forecast for forecast in thriftier if available is None or forecast.needed_bytes <= available]
    got = f'memory ran out under the plan "{plan}"'
    if fitting:
        size = gib(fitting[0].needed_bytes)
        return OutOfMemoryError(
            f'{got}; expected room for it: the plan "{fitting[0].plan}" would fit into {size}, paint with '
            f"--memory {size.split()[0]}"
        )
    if not forecasts:
        return OutOfMemoryError(
            f"{got}; expected room for it: end other programs, or paint a smaller picture"
        )
    least = min(forecasts, key=lambda forecast: forecast.needed_bytes)
    return OutOfMemoryError(
        f'{got}; expected at least {gib(least.needed_bytes)} free for the plan "{least.plan}", the thriftiest: end '
        "other programs, or paint a smaller picture"
    )
