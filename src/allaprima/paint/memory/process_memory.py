"""What this process takes of the computer's memory, as Linux counts it."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""What `mallopt` calls the size from which blocks are the system's own, and what a heap may keep (man 3 mallopt)."""
_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Return the size of the resident set; where the system does not tell, the largest it has been."""
    return _read("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """Return the largest that the resident set has been."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _read("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def address_bytes() -> int:
    """Return how many addresses are in use, whether there is memory behind them or not; 0 if nobody tells."""
    return _read("VmSize")


def keep_heap_warm() -> None:
    """Have what is freed kept for the next to come, where the C library is GNU's: for painting picture after picture.

    Otherwise a picture's largest tensors go back to the system every time, and each page of the next ones comes as a
    fault: some 700 in a frame of 256 x 256, a millisecond.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that it takes
        library.mallopt(_TRIM_THRESHOLD, 2**28)


def keep_heap_small() -> None:
    """Have what is freed given back to the system at once, where the C library is GNU's; it costs a little time.

    Its heap otherwise hands out blocks of up to 32 MiB, which are a tile's, and gives few of them back.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP_THRESHOLD, 2**20)
        library.malloc_trim(0)


def _read(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
