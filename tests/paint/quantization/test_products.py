"""Quick products: close to the exact ones, row by row, and only where the device has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from allaprima.paint.quantization.products import QuickProduct, find_product, fp8_product, int8_product


def int8_weight(out: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.randn(out, width, generator=torch.Generator().manual_seed(0))
    scale = weight.abs().amax(1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def fp8_weight(out: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.randn(out, width, generator=torch.Generator().manual_seed(0))
    return weight.to(torch.float8_e4m3fn), torch.tensor([0.5])


CASES = [(int8_product, int8_weight, 0.012), (fp8_product, fp8_weight, 0.05)]
Make = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]


@pytest.mark.parametrize(("product", "make", "error"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_close_to_the_exact_product(
    product: QuickProduct, make: Make, error: float, dtype: torch.dtype
) -> None:
    weight, scale = make(48, 64)
    x = torch.randn(2, 40, 64, generator=torch.Generator().manual_seed(1)).to(dtype)
    x[0, 0] = 0
    bias = torch.arange(48.0).to(dtype)
    exact = x.float() @ (weight.float() * scale[:, None]).t() + bias.float()
    got = product(x, weight, scale, bias)
    assert got.dtype == dtype
    assert torch.equal(got[0, 0], bias)
    relative = (got.float() - exact).norm() / (exact - bias.float()).norm()
    assert 0 < relative < error


@pytest.mark.parametrize(("product", "make", "error"), CASES)
def test_no_row_depends_on_its_neighbours(product: QuickProduct, make: Make, error: float) -> None:
    del error
    weight, scale = make(48, 64)
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(1))
    x[3] *= 1000
    alone = torch.cat([product(row, weight, scale, None) for row in torch.split(x, 20)])
    assert torch.equal(product(x, weight, scale, None), alone)


def test_there_is_none_where_the_hardware_lacks_it() -> None:
    x = torch.ones(32, 64)
    assert find_product("gguf-Q8_0", x, 64) is None
    assert find_product("fp8", x, 64) is None
    assert find_product("int8", x.to("meta"), 64) is None


@pytest.mark.parametrize(("rows", "width", "out"), [(1, 3, 5), (2, 64, 1), (300, 7, 70)])
def test_on_a_cpu_any_size_will_do(rows: int, width: int, out: int) -> None:
    weight, scale = int8_weight(out, width)
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    exact = x @ (weight.float() * scale[:, None]).t()
    torch.testing.assert_close(int8_product(x, weight, scale, None), exact, atol=0.05, rtol=0.05)
