from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    GOOD,
    Q_DOWN,
    Q_UP,
    TENSORS,
    refused,
)

from allaprima.paint.lora.files.weight_file import read_weight_file


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("at", [0, 17, 31])
def test_not_finite(tmp_path: Path, bad: float, dtype: torch.dtype, at: int) -> None:
    tensor = TENSORS[Q_DOWN].to(dtype).clone()
    tensor.view(-1)[at] = bad
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_DOWN: tensor}), "NaN or infinity")


@pytest.mark.parametrize("name", [Q_DOWN, Q_UP])
@pytest.mark.parametrize("bits", [0x7F, 0xFF])
def test_not_finite_in_eight_bits(tmp_path: Path, name: str, bits: int) -> None:
    tensor = TENSORS[name].to(torch.float8_e4m3fn)
    tensor.view(torch.uint8).view(-1)[5] = bits
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, name: tensor}), "NaN or infinity")


def test_the_digest_is_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(GOOD)
    file = read_weight_file(path)
    path.write_bytes(GOOD[::-1])
    assert file.digest == hashlib.sha256(GOOD).hexdigest()


@pytest.mark.parametrize(
    ("stored", "read"),
    [(torch.float64, torch.float32), (torch.float8_e5m2, torch.bfloat16), (torch.float16, torch.float16)],
)
def test_tensors_have_a_dtype_that_models_compute_in(
    tmp_path: Path, stored: torch.dtype, read: torch.dtype
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({Q_DOWN: TENSORS[Q_DOWN].to(stored)}))
    tensor = read_weight_file(path).tensors[Q_DOWN]
    assert tensor.dtype == read
    assert torch.equal(tensor, TENSORS[Q_DOWN].to(stored).to(read))
