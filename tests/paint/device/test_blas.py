from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from allaprima.paint.device.blas import VARIABLE, prefer_quick_products


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set and taken away again, so that whatever the test leaves there goes with it.
    monkeypatch.setenv(VARIABLE, "AUTO")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)


def cpuinfo(folder: Path, maker: str) -> Path:
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nvendor_id\t: {maker}\nflags\t: fma avx2\n")
    return file


@pytest.mark.parametrize(
    ("maker", "capability", "chosen"),
    [
        ("AuthenticAMD", "AVX2", "AVX2"),
        ("HygonGenuine", "AVX2", "AVX2"),
        ("GenuineIntel", "AVX2", None),
        ("AuthenticAMD", "AVX512", None),
        ("AuthenticAMD", "DEFAULT", None),
    ],
)
def test_only_where_it_was_seen_to_be_quicker(
    maker: str, capability: str, chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    prefer_quick_products(cpuinfo(tmp_path, maker))
    assert os.environ.get(VARIABLE) == chosen


def test_a_users_own_choice_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setenv(VARIABLE, "COMPATIBLE")
    prefer_quick_products(cpuinfo(tmp_path, "AuthenticAMD"))
    assert os.environ[VARIABLE] == "COMPATIBLE"


def test_where_nothing_tells_the_maker_nothing_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    prefer_quick_products(tmp_path / "missing")
    assert VARIABLE not in os.environ
