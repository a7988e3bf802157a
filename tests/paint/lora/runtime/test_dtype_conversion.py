"""Matrices that are converted together are what each would be alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from allaprima.paint.lora.pages import Blocks
from allaprima.paint.lora.runtime.dtype_conversion import convert_together

SIZES = (16 * 8, 16 * 24, 1, 16 * 32)


def row(dtype: torch.dtype, lead: int = 3) -> Tensor:
    return torch.randn(lead + sum(SIZES), generator=torch.Generator().manual_seed(0)).to(dtype)[lead:]


def blocks() -> Blocks:
    return Blocks(torch.device("cpu"))


@pytest.mark.parametrize("source", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_together_as_alone(source: torch.dtype, *, backwards: bool, ready: bool) -> None:
    first, second, _, third = row(source).split(SIZES)  # type: ignore[no-untyped-call]
    matrices = [first.view(16, 8), second.view(24, 16), third.view(16, 32)]
    memory = blocks()
    if ready:
        memory.take(4096)
        memory.make_ready()
    made = convert_together(matrices[::-1] if backwards else matrices, torch.float32, memory)
    assert made is not None
    storage, converted = made
    assert storage.nbytes == 4 * sum(SIZES)
    for one, other in zip(matrices[::-1] if backwards else matrices, converted, strict=True):
        assert torch.equal(other, one.float())
        assert other.is_contiguous()
        assert other.untyped_storage().data_ptr() == storage.untyped_storage().data_ptr()


def test_what_lies_apart_is_left_alone() -> None:
    whole = row(torch.bfloat16)
    far = [whole[:10].view(2, 5), whole[-10:].view(2, 5)]
    strangers = [whole[:10].view(2, 5), torch.zeros(2, 5, dtype=torch.bfloat16)]
    mixed = [whole[:10].view(2, 5), whole[10:20].view(torch.float16).view(2, 5)]
    for tensors in (far, strangers, mixed):
        assert convert_together(tensors, torch.float32, blocks()) is None
