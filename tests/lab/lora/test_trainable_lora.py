"""The maths are peft's, the network is as it was without the hooks, and the layers are those that trainers choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from tests.lab.lora.tiny import base_of
from torch import nn

from allaprima.core.errors import UserError
from allaprima.lab.lora.trainable_lora import (
    TrainableLora,
    default_rate,
    denoiser_of,
    find_layers,
    hang,
    layers_at,
)
from allaprima.paint.lora.update import delta_of


def network() -> nn.Sequential:
    """A block with a layer of each kind that learns, the same at every call, and one outside of it."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        block = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(6 * 4 * 4, 5))
        return nn.Sequential(block, nn.Linear(5, 5))


def test_it_computes_and_learns_as_peft_does() -> None:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    ours, theirs = network(), network()
    layers = find_layers(ours, "all")
    lora = TrainableLora(layers, dict.fromkeys(layers, 3), alpha=6.0)
    inject_adapter_in_model(LoraConfig(r=3, lora_alpha=6, target_modules=["0.0", "0.2"]), theirs)
    for path, down, up in zip(lora.paths, lora.down, lora.up, strict=True):
        nn.init.normal_(up, std=0.2)
        for half, matrix in (("lora_A", down), ("lora_B", up)):
            theirs.get_parameter(f"{path}.{half}.default.weight").data.copy_(matrix)
    with hang(lora, layers):
        out = ours(x)
    expected = theirs(x)
    assert torch.allclose(out, expected, atol=1e-6)
    out.square().mean().backward()
    expected.square().mean().backward()
    for path, down in zip(lora.paths, lora.down, strict=True):
        gradient = theirs.get_parameter(f"{path}.lora_A.default.weight").grad
        assert gradient is not None
        assert down.grad is not None
        assert torch.allclose(down.grad, gradient, atol=1e-6)


def test_fresh_matrices_change_nothing_and_none_are_left_behind() -> None:
    x, plain = torch.ones(1, 4, 8, 8), network()
    expected = plain(x)
    layers = find_layers(plain, "all")
    lora = TrainableLora(layers, dict.fromkeys(layers, 2))
    with hang(lora, layers):
        assert torch.equal(plain(x), expected)
        nn.init.ones_(lora.up[0])
        assert not torch.equal(plain(x), expected)
    assert torch.equal(plain(x), expected)
    assert not any(layer._forward_hooks for layer in layers.values())


def test_updates_are_what_the_hooks_add_and_can_be_begun_with() -> None:
    x, plain = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), network()
    layers = find_layers(plain, "all")
    lora = TrainableLora(layers, dict.fromkeys(layers, 2), alpha=1.0)
    for up in lora.up:
        nn.init.normal_(up)
    again = TrainableLora(layers, dict.fromkeys(layers, 2))
    again.begin_with(lora.updates())
    merged = network()
    for path, update in lora.updates().items():
        merged.get_parameter(f"{path}.weight").data += delta_of(update)
    with hang(lora, layers):
        expected = plain(x)
    assert torch.allclose(merged(x), expected, atol=1e-5)
    with hang(again, layers):
        assert torch.allclose(plain(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["vignette", "qwen-image", "sdxl", "flux2-klein", "z-image"])
def test_attention_is_a_part_of_all_and_holds_no_feed_forward(name: str, tmp_path: Path) -> None:
    _, denoiser = denoiser_of(base_of(name, tmp_path))
    attention, everywhere = find_layers(denoiser, "attention"), find_layers(denoiser, "all")
    assert 0 < len(attention) < len(everywhere)
    assert attention.keys() < everywhere.keys()
    assert all("att" in path for path in attention)
    kinds: Callable[[str], bool] = lambda word: any(path.endswith(word) for path in attention)  # noqa: E731
    assert all(map(kinds, ("to_q", "to_k", "to_v", "to_out.0")))
    assert not any("embed" in path or path in ("conv_in", "img_in", "proj_out") for path in everywhere)


def test_a_network_without_attention_says_so() -> None:
    with pytest.raises(UserError, match="got targets attention, which this base has none of"):
        find_layers(network(), "attention")


def test_the_rate_falls_with_the_width() -> None:
    assert default_rate({"a": nn.Linear(2048, 8)}) == pytest.approx(2e-4)
    assert default_rate({"a": nn.Linear(256, 8)}) == pytest.approx(1e-3)


def test_a_lora_from_elsewhere_may_sit_outside_of_the_blocks() -> None:
    layers = layers_at(network(), ["1", "0.0"])
    assert [layer.weight.ndim for layer in layers.values()] == [2, 4]
    assert "1" not in find_layers(network(), "all")
