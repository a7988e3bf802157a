"""How much memory this process takes, as Linux counts it, and how much its heap keeps."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from allaprima.core.system_limits import peak_resident_bytes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""`mallopt`'s numbers for M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (man 3 mallopt)."""
_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Return the size of the resident set; its largest so far where the system does not say."""
    return _read("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """Return the largest size of the resident set so far."""
    return _read("VmHWM") or peak_resident_bytes()


def address_bytes() -> int:
    """Return the size of the address space in use, backed by memory or not; 0 where the system does not say."""
    return _read("VmSize")


def keep_heap_warm() -> None:
    """Let GNU's C library keep freed memory, for painting picture after picture.

    Otherwise each picture's largest tensors go back to the system, and the next ones cost a page fault for every
    page: some 700 in a frame of 256 x 256, a millisecond.
    """
    library = _c_library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the highest value allowed
        library.mallopt(_TRIM_THRESHOLD, 2**28)


def keep_heap_small() -> None:
    """Let GNU's C library return freed memory to the system at once, at the cost of a little time.

    Otherwise its heap serves blocks of up to 32 MiB, the size of a tile's tensors, and returns few of them.
    """
    library = _c_library()
    if library is not None and hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP_THRESHOLD, 2**20)
        library.malloc_trim(0)


def _c_library() -> ctypes.CDLL | None:
    """Return C's library on Linux; None elsewhere, where it has no `mallopt` or, on Windows, no name to go by."""
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _read(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
