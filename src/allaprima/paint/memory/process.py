"""What this process takes of the computer's memory, as Linux counts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Return the size of the resident set; where the system does not tell, the largest it has been."""
    return _read("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """Return the largest that the resident set has been."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _read("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
