from __future__ import annotations

from pathlib import Path

import pytest
import torch

from allaprima.core.errors import RequestError
from allaprima.paint.device.precision import multiplies_fp8, multiplies_int8, pick_device, pick_dtype


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


@pytest.mark.parametrize(("flags", "expected"), [("avx512_bf16", False), ("avx2 avx_vnni", True)])
def test_int8_only_where_the_processor_has_it(tmp_path: Path, flags: str, expected: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: {flags}\n")
    assert multiplies_int8("cpu", cpuinfo) == expected
    assert not multiplies_int8("cpu", tmp_path / "missing")
    assert not multiplies_fp8("cpu")


def test_an_unknown_processor_or_device_is_safe_with_float32(tmp_path: Path) -> None:
    assert pick_dtype("cpu", tmp_path / "missing") == torch.float32
    assert pick_dtype(torch.device("meta")) == torch.float32


@pytest.mark.parametrize("name", ["nonsense", "mps", "cuda:99", "", "cpu:7", "CUDA"])
def test_a_device_that_is_not_there_is_told_in_a_sentence(name: str) -> None:
    for elsewhere in (False, True):
        with pytest.raises(RequestError, match="expected one that is here: cpu"):
            pick_device(name, elsewhere=elsewhere)


def test_who_only_plans_may_plan_for_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("cuda", elsewhere=True) == torch.device("cuda")
    with pytest.raises(RequestError, match="got the device 'cuda'"):
        pick_device("cuda")


def test_this_machine_has_a_device_and_a_format() -> None:
    device = pick_device()
    assert device.type in {"cpu", "cuda"}
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_dtype(device) in {torch.float32, torch.bfloat16}
