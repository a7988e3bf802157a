"""What the system grants this process, in the one place that knows systems apart: Windows has no `resource`."""

from __future__ import annotations

import sys
from typing import Any

import psutil

try:
    import resource

    _resource: Any = resource
except ModuleNotFoundError:  # Windows
    _resource = None


def open_files() -> int | None:
    """Return how many files may be open at once; None where there is no limit, or the system does not say."""
    return _limit("RLIMIT_NOFILE")


def address_space_bytes() -> int | None:
    """Return the largest size of the address space; None likewise."""
    return _limit("RLIMIT_AS")


def peak_resident_bytes() -> int:
    """Return the largest size of the resident set so far."""
    if _resource is None:
        facts = psutil.Process().memory_info()
        return int(getattr(facts, "peak_wset", facts.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss) * unit


def memory_bytes() -> tuple[int, int]:
    """Return how much of the machine's memory is free, and how much there is."""
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _limit(name: str) -> int | None:
    if _resource is None:
        return None
    limit = int(_resource.getrlimit(getattr(_resource, name))[0])
    return None if limit == _resource.RLIM_INFINITY else limit
