"""Which code path the matrix products of a processor take.

torch's products in float32 are those of Intel's library MKL. On processors of other makers MKL splits a small product
badly between threads; its documented mode for reproducible numbers (`MKL_CBWR=AVX2`) does not. Measured on two cores
of an AMD EPYC with AVX2, in turns with the same process without it: Vignette's denoiser 0.85 of the time, its text
encoder 0.79.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

VARIABLE = "MKL_CBWR"
_CPUINFO = Path("/proc/cpuinfo")


def prefer_quick_products(cpuinfo: Path = _CPUINFO) -> None:
    """Choose MKL's path for this process; it is heard before the first product only, and a user's own choice stays.

    Args:
        cpuinfo: Linux's description of the processor; elsewhere nothing is chosen.
    """
    if VARIABLE in os.environ or not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return
    if torch.backends.cpu.get_cpu_capability() == "AVX2" and _maker(cpuinfo) not in ("", "GenuineIntel"):
        os.environ[VARIABLE] = "AVX2"


def _maker(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id"))
    return next(named, "")
