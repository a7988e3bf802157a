"""Rounding on the fly: how far from the weights, what is left alone, and on the meta device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from allaprima.paint.quantization.formats import ROUNDED_FORMATS
from allaprima.paint.quantization.layers import QuantizedLinear
from allaprima.paint.quantization.rounding import ROUNDINGS, quantize_network, quantize_weight

# Of normal numbers; that of NF4 is what QLoRA's levels are optimal for.
ERRORS = {"fp8": 0.03, "int8": 0.01, "nf4": 0.1}
NUM_BYTES = {"fp8": 1 + 4 / 256, "int8": 1 + 4 / 256, "nf4": 0.5 + 4 / 64}


@pytest.mark.parametrize("name", ROUNDINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_stays_close_and_small(name: str, dtype: torch.dtype) -> None:
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(0)).mul(0.02).to(dtype)
    weight[5] = 0
    stored = quantize_weight(weight, name)
    back = stored.dequantize(torch.float32)
    assert not back[5].any()
    assert 0 < (back - weight.float()).norm() / weight.float().norm() < ERRORS[name]
    assert stored.nbytes == NUM_BYTES[name] * weight.numel()


@pytest.mark.parametrize("name", ROUNDINGS)
def test_what_is_rounded_already_stays(name: str) -> None:
    weight = quantize_weight(torch.randn(8, 128), name).dequantize(torch.float32)
    torch.testing.assert_close(quantize_weight(weight, name).dequantize(torch.float32), weight)


def make() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 2), nn.Linear(2, 100))


@pytest.mark.parametrize("name", ROUNDINGS)
def test_large_linear_layers_are_exchanged_and_small_ones_stay(name: str) -> None:
    network, before = make(), make()
    quantize_network(network, name, min_numbers=256)
    assert isinstance(network[0], QuantizedLinear)
    assert isinstance(network[2], QuantizedLinear)
    assert type(network[3]) is nn.Linear
    x = torch.randn(20, 64, generator=torch.Generator().manual_seed(1))
    difference = (network[:3](x) - before[:3](x)).norm() / before[:3](x).norm()
    assert 0 < difference < 3 * ERRORS[name]


def test_rows_that_are_no_whole_blocks_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Linear(96, 8), nn.Linear(8, 96))
    quantize_network(network, "nf4", min_numbers=1)
    assert not any(isinstance(layer, QuantizedLinear) for layer in network)


@pytest.mark.parametrize("name", ROUNDINGS)
def test_a_network_without_numbers_has_the_same_sizes(name: str) -> None:
    real, shapes = make(), make().to("meta")
    for network in (real, shapes):
        quantize_network(network, name, min_numbers=256)
    sizes = [[p.nbytes for p in network.parameters()] for network in (real, shapes)]
    assert sizes[0] == sizes[1]
    assert shapes(torch.empty(3, 64, device="meta")).shape == (3, 100)


def test_there_is_a_rounding_for_every_format_that_a_person_may_name() -> None:
    assert tuple(ROUNDINGS) == ROUNDED_FORMATS
