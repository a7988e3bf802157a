"""Layers with half the bytes: near the plain ones in painting, the plain ones themselves elsewhere."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch.nn import functional

from allaprima.paint.bases.vignette.half_linear import HalfLinear


@pytest.fixture
def layer() -> HalfLinear:
    made = HalfLinear(24, 40)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return made


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(1))


def plain(layer: HalfLinear, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, layer.weight, layer.bias)


def test_painting_rounds_weights_to_half_and_nothing_else(layer: HalfLinear, x: torch.Tensor) -> None:
    rounded = functional.linear(x, layer.weight.half().float(), layer.bias)
    with torch.inference_mode():
        painted = layer(x)
    assert painted.shape == rounded.shape
    assert torch.allclose(painted, rounded, atol=1e-5)
    assert torch.allclose(painted, plain(layer, x), atol=24 * 4 / 2048)
    if torch.backends.quantized.engine in ("x86", "fbgemm"):
        assert not torch.equal(painted, plain(layer, x))


def test_training_is_plain_and_reaches_the_weights(layer: HalfLinear, x: torch.Tensor) -> None:
    result = layer(x)
    assert torch.equal(result, plain(layer, x))
    result.sum().backward()
    assert layer.weight.grad is not None


def test_changed_weights_are_used_at_once(layer: HalfLinear, x: torch.Tensor) -> None:
    with torch.inference_mode():
        before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(2.0)
    with torch.inference_mode():
        assert torch.allclose(layer(x), 2.0 * before - layer.bias, atol=1e-4)
    layer.weight.data = layer.weight.data / 2.0
    with torch.inference_mode():
        assert torch.allclose(layer(x), before, atol=1e-4)


def test_a_copy_has_weights_of_its_own(layer: HalfLinear, x: torch.Tensor) -> None:
    with torch.inference_mode():
        before = layer(x)
    other = deepcopy(layer)
    with torch.no_grad():
        other.weight.zero_()
    with torch.inference_mode():
        assert torch.equal(other(x), other.bias.expand(2, 5, 40))
        assert torch.equal(layer(x), before)


def test_other_formats_are_plain(layer: HalfLinear, x: torch.Tensor) -> None:
    layer.double()
    with torch.inference_mode():
        assert torch.equal(layer(x.double()), plain(layer, x.double()))
