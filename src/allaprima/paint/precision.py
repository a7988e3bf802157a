"""Which device to paint on and which number format is really fast there.

Many processors accept bf16 and then emulate it, a hundred times slower than fp32. So the format is chosen
from what the hardware says it has, never from what torch is willing to run.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

_CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_CPUINFO = Path("/proc/cpuinfo")


def pick_device(name: str | None = None) -> torch.device:
    """Return the device called `name`, or the first CUDA device if there is one, or the CPU."""
    if name is not None:
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pick_dtype(device: torch.device | str, cpuinfo: Path = _CPUINFO) -> torch.dtype:
    """Return bf16 where `device` multiplies bf16 in hardware, else float32.

    Args:
        device: what the model will run on.
        cpuinfo: Linux's description of the processor; absent elsewhere, where float32 is the safe answer.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        real = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        real = kind == "cpu" and bool(_CPU_FLAGS & _read_cpu_flags(cpuinfo))
    return torch.bfloat16 if real else torch.float32


@cache
def _read_cpu_flags(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
