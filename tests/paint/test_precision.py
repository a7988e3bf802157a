from __future__ import annotations

from pathlib import Path

import pytest
import torch

from allaprima.paint.precision import pick_device, pick_dtype


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse2 avx2 fma", torch.float32),
        ("avx512f avx512bw", torch.float32),
        ("avx512f avx512_bf16", torch.bfloat16),
        ("amx_bf16 amx_tile", torch.bfloat16),
        ("not_avx512_bf16_really", torch.float32),
    ],
)
def test_bf16_only_where_the_processor_has_it(tmp_path: Path, flags: str, expected: torch.dtype) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: any\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16\n")
    assert pick_dtype("cpu", cpuinfo) == expected


def test_an_unknown_processor_or_device_is_safe_with_float32(tmp_path: Path) -> None:
    assert pick_dtype("cpu", tmp_path / "missing") == torch.float32
    assert pick_dtype(torch.device("meta")) == torch.float32


def test_this_machine_has_a_device_and_a_format() -> None:
    device = pick_device()
    assert device.type in {"cpu", "cuda"}
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_dtype(device) in {torch.float32, torch.bfloat16}
