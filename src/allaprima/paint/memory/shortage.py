"""Running out of memory: how it is told, and what there is."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

from allaprima.core.errors import OutOfMemoryError, WeightsError
from allaprima.paint.memory.plan import MemoryForecast, MemoryPlan, gib
from allaprima.paint.memory.process_memory import address_bytes, resident_bytes

_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "could not create a memory object",
    "could not create a primitive",
    "unable to mmap",
    "cannot allocate memory",
)
"""How the CPU's allocator, oneDNN and the mapping of files say it, as RuntimeError or OSError."""
MAY_TELL = (MemoryError, RuntimeError, OSError, WeightsError)
"""The errors to ask `is_shortage` about; a file that could not be read may be one there was no room for."""
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
    """Return how much a process like this one may take on `device`; None if nobody tells."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    # The limit is one of addresses, of which a process has many more than memory: what counts is what is left.
    found = [] if limit == resource.RLIM_INFINITY else [limit - address_bytes() + resident_bytes()]
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    found += [
        int(line.split()[1]) * 1024 + resident_bytes() for line in lines if line.startswith("MemAvailable:")
    ]
    return min(found, default=None)


def shortage(
    plan: MemoryPlan | None, forecasts: list[MemoryForecast], available: int | None
) -> OutOfMemoryError:
    """Return the error for a picture that did not fit under `plan`, naming a plan that would."""
    names = [forecast.plan for forecast in forecasts]
    later = forecasts[names.index(plan) + 1 :] if plan in names else []
    fitting = [one for one in later if available is None or one.needed_bytes <= available]
    got = "memory ran out" if plan is None else f'memory ran out under the plan "{plan}"'
    if fitting:
        one = fitting[0]
        return OutOfMemoryError(
            f'{got}; expected room for it: the plan "{one.plan}" would fit into {gib(one.needed_bytes)}, paint with '
            f"--memory {gib(one.needed_bytes).split()[0]}"
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
