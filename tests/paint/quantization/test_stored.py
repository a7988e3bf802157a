"""Stored weights become numbers again, and impossible ones are refused."""

from __future__ import annotations

import pytest
import torch

from allaprima.core.errors import WeightsError
from allaprima.paint.quantization import stored as module
from allaprima.paint.quantization.stored import StoredWeight


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("scale", [None, torch.tensor(0.25), torch.tensor([[0.5], [2.0], [3.0]])])
def test_fp8_is_multiplied_with_its_scale_and_rounded_once(
    dtype: torch.dtype, scale: torch.Tensor | None
) -> None:
    data = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight = StoredWeight(data=data, format="fp8", shape=(3, 8), scale=scale)
    exact = data.float() * (1.0 if scale is None else scale)
    torch.testing.assert_close(weight.dequantize(torch.float32), exact, rtol=0, atol=0)
    torch.testing.assert_close(weight.dequantize(torch.bfloat16), exact.bfloat16(), rtol=0, atol=0)


def test_int8_has_a_scale_for_each_row() -> None:
    data = torch.arange(-6, 6, dtype=torch.int8).view(2, 6)
    weight = StoredWeight(data=data, format="int8", shape=(2, 6), scale=torch.tensor([1.0, 10.0]))
    assert weight.dequantize(torch.float32).tolist() == [[-6, -5, -4, -3, -2, -1], [0, 10, 20, 30, 40, 50]]


def test_nf4_has_two_levels_to_a_byte_and_a_scale_for_each_64() -> None:
    data = torch.tensor([0x0F] * 32 + [0x7F] * 32, dtype=torch.uint8)
    weight = StoredWeight(data=data, format="nf4", shape=(2, 64), scale=torch.tensor([2.0, 3.0]))
    assert weight.dequantize(torch.float32).tolist() == [[-2.0, 2.0] * 32, [0.0, 3.0] * 32]


def test_chunks_make_what_one_piece_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = torch.randint(0, 256, (40, 144), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data[:, :4] = 1
    weight = StoredWeight(data=data, format="gguf-Q4_K", shape=(20, 512))
    whole = weight.dequantize(torch.float32)
    monkeypatch.setattr(module, "CHUNK", 3 * 256)
    torch.testing.assert_close(weight.dequantize(torch.float32), whole, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("data", "stored", "shape", "scale", "said"),
    [
        (torch.zeros(2, 3), "fp8", (2, 3), None, "in the format fp8"),
        (torch.zeros(2, 3), "q9", (2, 3), None, "in the format .q9.; expected plain, fp8"),
        (torch.zeros(2, 3), "plain", (3, 3), None, "weight of shape"),
        (torch.zeros(34, dtype=torch.uint8), "gguf-Q8_0", (2, 32), None, "whole blocks of 34 bytes"),
        (torch.zeros(34, dtype=torch.uint8), "gguf-Q8_0", (1, 31), None, "whole blocks"),
        (torch.zeros(2, 3, dtype=torch.int8), "int8", (2, 3), None, "without its scale"),
        (torch.zeros(2, 3, dtype=torch.int8), "int8", (2, 3), torch.ones(3), "expected 1 or 2"),
        (torch.zeros(2, 3), "plain", (2, 3), torch.ones(1), "expected none"),
    ],
)
def test_what_makes_no_weight_is_refused(
    data: torch.Tensor, stored: str, shape: tuple[int, ...], scale: torch.Tensor | None, said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        StoredWeight(data=data, format=stored, shape=shape, scale=scale)
