"""Quantised layers behave like the layers they stand for."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from allaprima.paint.pipeline.casting import computing_in
from allaprima.paint.quantization.layers import QuantizedEmbedding, QuantizedLinear
from allaprima.paint.quantization.rounding import quantize_weight
from allaprima.paint.quantization.stored import StoredWeight


def fp8_layer(dtype: torch.dtype = torch.bfloat16, *, scale: torch.Tensor | None = None) -> QuantizedLinear:
    data = torch.randn(6, 64, generator=torch.Generator().manual_seed(0)).to(torch.float8_e4m3fn)
    stored = StoredWeight(data=data, format="fp8", shape=(6, 64), scale=scale)
    return QuantizedLinear(stored, bias=torch.ones(6), dtype=dtype)


def test_it_is_a_linear_layer_that_says_what_it_computes_in() -> None:
    layer = fp8_layer()
    assert isinstance(layer, nn.Linear)
    assert (layer.in_features, layer.out_features, layer.compute_dtype) == (64, 6, torch.bfloat16)
    assert next(p.dtype for p in layer.parameters() if p.is_floating_point()) == torch.bfloat16
    assert "format=fp8" in repr(layer)


def test_casts_change_what_it_computes_in_and_no_byte_of_the_weight() -> None:
    layer = fp8_layer(scale=torch.tensor(0.3))
    weight, exact = layer.weight.clone(), layer.dequantize(torch.float32)
    layer.to(torch.float32).half().to(torch.float32)
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.dequantize(torch.float32), exact)
    assert layer.compute_dtype == torch.float32
    assert layer(torch.ones(2, 64)).dtype == torch.float32


def test_the_overflow_guards_wider_format_is_undone() -> None:
    layer, x = fp8_layer(scale=torch.tensor(0.3)), torch.ones(1, 64)
    before = layer(x.bfloat16())
    with computing_in([layer], torch.float32):
        wide = layer(x)
    assert wide.dtype == torch.float32
    assert torch.equal(layer(x.bfloat16()), before)


def test_it_moves_copies_and_saves_like_any_layer() -> None:
    layer, x = fp8_layer(scale=torch.tensor(0.3)), torch.ones(1, 64, dtype=torch.bfloat16)
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    away = copy.deepcopy(layer).to("meta")
    assert away(x.to("meta")).shape == (1, 6)
    away.load_state_dict(layer.state_dict(), assign=True)
    assert torch.equal(away.to("cpu").dequantize(torch.float32), layer.dequantize(torch.float32))


@pytest.mark.parametrize("scale", [torch.tensor(2.0), torch.arange(1.0, 9.0)])
def test_a_table_of_words_dequantises_the_rows_asked_for(scale: torch.Tensor) -> None:
    data = torch.randint(-9, 9, (8, 4), dtype=torch.int8, generator=torch.Generator().manual_seed(0))
    stored = StoredWeight(data=data, format="int8", shape=(8, 4), scale=scale)
    table = QuantizedEmbedding(stored, padding_idx=None, dtype=torch.float32)
    whole = stored.dequantize(torch.float32)
    tokens = torch.tensor([[7, 0], [3, 3]])
    assert torch.equal(table(tokens), whole[tokens])


@pytest.mark.parametrize("name", ["int8", "fp8", "nf4"])
def test_a_gradient_passes_as_through_the_dequantised_layer(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    bias = torch.randn(32, generator=draw)
    layer = QuantizedLinear(
        quantize_weight(torch.randn(32, 64, generator=draw), name), bias=bias, dtype=torch.float32
    )
    x, y = (torch.randn(2, 3, 64, generator=draw).requires_grad_() for _ in range(2))
    y.data.copy_(x.data)
    plain = nn.functional.linear(y, layer.dequantize(torch.float32), bias)
    kept: list[torch.Tensor] = []

    def keep(saved: torch.Tensor) -> torch.Tensor:
        kept.append(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = layer(x)
    assert torch.equal(out, plain)
    assert all(saved.numel() < 32 * 64 for saved in kept)  # 20 GB of a base would be 40 in bf16
    for one in (out, plain):
        one.square().sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    torch.testing.assert_close(x.grad, y.grad)


def test_no_rows_are_no_error() -> None:
    stored = quantize_weight(torch.randn(32, 64, generator=torch.Generator().manual_seed(0)), "int8")
    assert QuantizedLinear(stored, bias=None, dtype=torch.float32)(torch.zeros(0, 64)).shape == (0, 32)
