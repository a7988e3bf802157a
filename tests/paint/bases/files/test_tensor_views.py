"""Rows of stored weights, against the same rows of the numbers that they stand for."""

from __future__ import annotations

import gguf
import pytest
import torch
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import StoredTensor
from allaprima.paint.bases.files.tensor_views import as_matrix, split_rows, swap_halves, take_rows
from allaprima.paint.quantization.stored import StoredWeight


def plain() -> Tensor:
    return torch.randn(6, 64, generator=torch.Generator().manual_seed(0))


def stored(form: str) -> StoredWeight:
    numbers = plain()
    if form == "plain":
        return StoredWeight(data=numbers, format="plain", shape=(6, 64))
    if form.startswith("gguf"):
        blocks = gguf.quants.quantize(numbers.numpy(), gguf.GGMLQuantizationType.Q8_0)
        data = torch.from_numpy(blocks.copy())
        return StoredWeight(
            data=data.view(-1) if form.endswith("flat") else data, format="gguf-Q8_0", shape=(6, 64)
        )
    if form == "fp8 cast":
        return StoredWeight(data=numbers.to(torch.float8_e4m3fn), format="fp8", shape=(6, 64))
    scale = numbers.abs().amax(dim=1, keepdim=True) / 127 if "row" in form else numbers.abs().max() / 127
    data = (numbers / scale).round()
    kind = torch.int8 if form.startswith("int8") else torch.float8_e4m3fn
    return StoredWeight(data=data.to(kind), format=form.split()[0], shape=(6, 64), scale=scale)


FORMS = ["plain", "fp8 cast", "fp8", "fp8 by row", "int8", "int8 by row", "gguf", "gguf flat"]


@pytest.mark.parametrize("form", FORMS)
def test_rows_stand_for_the_same_numbers(form: str) -> None:
    weight = stored(form)
    whole = weight.dequantize(torch.float32)
    parts = split_rows(weight, 3)
    assert [part.shape for part in parts] == [(2, 64)] * 3
    assert {part.format for part in parts} == {weight.format}
    assert torch.equal(torch.cat([part.dequantize(torch.float32) for part in parts]), whole)
    assert torch.equal(swap_halves(weight).dequantize(torch.float32), torch.cat([whole[3:], whole[:3]]))
    assert torch.equal(take_rows(weight, (4, 6), (1, 2)).dequantize(torch.float32), whole[[4, 5, 1]])


def test_rows_of_what_lies_in_a_file_are_not_copied() -> None:
    weight = stored("gguf flat")
    second = split_rows(weight, 3)[1]
    assert second.data.data_ptr() == weight.data.data_ptr() + weight.data.numel() // 3


def test_a_convolution_of_one_pixel_is_a_matrix() -> None:
    weight = StoredWeight(data=torch.ones(3, 4, 1, 1), format="plain", shape=(3, 4, 1, 1))
    assert as_matrix(weight).dequantize(torch.float32).shape == (3, 4)
    announced = StoredTensor("BF16", (3, 4, 1, 1), 0, 24)
    assert as_matrix(announced).shape == (3, 4)
    assert split_rows(StoredTensor("BF16", (6, 4), 0, 48), 2)[0].shape == (3, 4)
    for kept in (StoredTensor("F32", (3, 4, 3, 3), 0, 1), StoredTensor("F32", (3,), 0, 1)):
        assert as_matrix(kept) is kept


@pytest.mark.parametrize("shape", [(7, 4), (), (0, 4)])
def test_rows_that_cannot_be_shared_are_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="expected rows for 3 layers"):
        split_rows(StoredTensor("F32", shape, 0, 0), 3)
