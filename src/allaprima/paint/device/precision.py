"""Which device to paint on and which number format to compute in.

Many processors accept bf16 and then emulate it, a hundred times slower than fp32. So the format is chosen
from what the hardware says it has, never from what torch is willing to run. What overflows in a narrow format is
computed again in a wider one, see `guard`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from allaprima.core.errors import RequestError

Precision = Literal["auto", "bf16", "fp32", "fp16"]
"""What a user calls a number format; auto is bf16 where the device multiplies it in hardware, else fp32."""

FORMATS: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}
_CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_CPUINFO = Path("/proc/cpuinfo")


def pick_device(name: str | None = None, *, elsewhere: bool = False) -> torch.device:
    """Return the device called `name`, or the first CUDA device if there is one, or the CPU.

    Args:
        name: "cpu", "cuda" or "cuda:1".
        elsewhere: "cuda" may be another machine's, for who only plans.

    Raises:
        RequestError: there is no such device here.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda" if there else "cpu")
    known = ["cpu", *(["cuda"] if there or elsewhere else []), *(f"cuda:{index}" for index in range(there))]
    if name not in known:
        raise RequestError(f"got the device {name[:40]!r}; expected one that is here: {', '.join(known)}")
    return torch.device(name)


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


def choose_dtype(
    device: torch.device | str, precision: str = "auto", cpuinfo: Path = _CPUINFO
) -> torch.dtype:
    """Return what to compute in on `device` for a user's word; a format that is named is taken, however slow.

    Raises:
        RequestError: `precision` is no `Precision`.
    """
    if precision == "auto":
        return pick_dtype(device, cpuinfo)
    if precision not in FORMATS:
        raise RequestError(f"got precision {precision[:40]!r}; expected auto or {', '.join(FORMATS)}")
    return FORMATS[precision]


def multiplies_int8(device: torch.device | str, cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether `device` multiplies int8 in hardware, quicker than floats.

    Args:
        cpuinfo: see `pick_dtype`.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= (7, 5)
    return kind == "cpu" and bool(_INT8_FLAGS & _read_cpu_flags(cpuinfo))


def multiplies_fp8(device: torch.device | str) -> bool:
    """Return whether `device` multiplies fp8 in hardware: NVIDIA's GPUs since Ada (8.9) do, no CPU does."""
    return torch.device(device).type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def wider_dtypes(dtypes: Iterable[torch.dtype], device: torch.device | str) -> tuple[torch.dtype, ...]:
    """Return the formats of larger range to try after `dtypes` failed, the quickest first; () after fp32.

    bf16 has the range of fp32 at the size of fp16, so it comes between them where the hardware has it.
    """
    used = set(dtypes)
    if torch.float16 in used and pick_dtype(device) == torch.bfloat16:
        return (torch.bfloat16, torch.float32)
    return (torch.float32,) if used & {torch.float16, torch.bfloat16} else ()


@cache
def _read_cpu_flags(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
