"""Three layers as one: the same numbers, whatever is done to one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette
from torch import nn
from torch.nn import functional

from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.bases.vignette.joined_linear import as_one, lay_side_by_side
from allaprima.paint.bases.vignette.mmdit import Block
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.runtime.side_path import SidePath, point, prepare


@pytest.fixture
def layers() -> list[nn.Linear]:
    return [nn.Linear(8, 12).requires_grad_(False) for _ in range(3)]


def test_layers_compute_as_one_and_stay_themselves(layers: list[nn.Linear]) -> None:
    x = torch.randn(2, 5, 8)
    assert as_one(layers) is None
    apart = [layer(x) for layer in layers]
    lay_side_by_side(layers)
    whole = as_one(layers)
    assert whole is not None
    assert torch.allclose(functional.linear(x, *whole), torch.cat(apart, dim=2), atol=1e-6)
    assert all(torch.equal(layer(x), before) for layer, before in zip(layers, apart, strict=True))


def test_what_is_written_to_one_is_in_the_whole(layers: list[nn.Linear]) -> None:
    lay_side_by_side(layers)
    layers[1].weight.mul_(3.0)
    layers[2].bias.add_(1.0)
    whole = as_one(layers)
    assert whole is not None
    assert torch.equal(whole[0], torch.cat([layer.weight for layer in layers]))
    assert torch.equal(whole[1], torch.cat([layer.bias for layer in layers]))


def test_a_layer_that_is_elsewhere_or_has_a_hook_is_not_in_it(layers: list[nn.Linear]) -> None:
    lay_side_by_side(layers)
    assert as_one(layers[::-1]) is None
    assert as_one(layers[:2]) is None
    prepare(layers[1])
    assert as_one(layers) is not None
    point(layers[1], SidePath(down=torch.ones(1, 8), up=torch.ones(12, 1), scale=None))
    assert as_one(layers) is not None
    with layers[1].register_forward_hook(lambda *_: None):
        assert as_one(layers) is None
    layers[1].weight.data = layers[1].weight.data.clone()
    assert as_one(layers) is None


def test_a_loaded_vignette_computes_its_attentions_so(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path), dtype=torch.float32)
    Rack(base.modules())
    blocks = base.denoiser.transformer.transformer_blocks
    for block in blocks:
        assert isinstance(block, Block)
        assert as_one(block.attn.of_image) is not None
        assert as_one(block.attn.of_text) is not None
