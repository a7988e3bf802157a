"""Moments: the same numbers as without them, and computed anew where a layer wears a LoRA."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette
from torch import Tensor

from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette
from allaprima.paint.bases.vignette.mmdit import Block, Moment
from allaprima.paint.bases.vignette.moments import STATES, Moments
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.runtime.side_path import SidePath, point, prepare
from allaprima.paint.lora.update import LowRank, Update

Inputs = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Worn:
    """Updates under a name."""

    name: str
    updates: dict[str, Update]
    vectors: dict[str, Tensor] = field(default_factory=dict)


@pytest.fixture
def base(tmp_path: Path) -> VignetteBase:
    return load_vignette(write_tiny_vignette(tmp_path), dtype=torch.float32)


@pytest.fixture
def inputs(base: VignetteBase) -> Inputs:
    return base.noise([1, 2], 64, 64), torch.tensor([0.75, 0.75]), base.encode_text(["cat", "dog"]).states


def slow(base: VignetteBase, inputs: Inputs) -> Tensor:
    """The velocity as training computes it: no inference mode, no moments."""
    with torch.no_grad():
        velocity: Tensor = base.denoiser(*inputs)
    return velocity


def fast(base: VignetteBase, inputs: Inputs) -> Tensor:
    latents, t, states = inputs
    with torch.inference_mode():
        velocity: Tensor = base.denoiser(latents, base._denoiser._moments.at(t), states)
    return velocity


def is_kept(base: VignetteBase) -> bool:
    with torch.inference_mode():
        first, again = (base._denoiser._moments.at(torch.tensor([0.5])) for _ in range(2))
    assert isinstance(first, Moment)
    return first is again


def test_the_quick_way_is_the_slow_way(base: VignetteBase, inputs: Inputs) -> None:
    for _ in range(2):  # the second time the moment is found
        assert torch.allclose(fast(base, inputs), slow(base, inputs), atol=1e-5)
    assert torch.equal(fast(base, inputs), fast(base, inputs))


def test_only_painting_has_moments_and_only_at_one_time(base: VignetteBase) -> None:
    same, mixed = torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.25])
    assert base._denoiser._moments.at(same) is same
    with torch.inference_mode():
        assert base._denoiser._moments.at(mixed) is mixed
        assert isinstance(base._denoiser._moments.at(same), Moment)


def test_a_lora_on_a_time_layer_is_heard_at_once(base: VignetteBase, inputs: Inputs) -> None:
    plain = fast(base, inputs)
    block = base.denoiser.transformer.transformer_blocks[0]
    assert isinstance(block, Block)
    layer = block.img_mod[1]
    assert isinstance(layer, torch.nn.Linear)
    prepare(layer)
    assert torch.equal(fast(base, inputs), plain)
    rows, columns = layer.weight.shape
    point(layer, SidePath(down=torch.ones(1, columns), up=torch.ones(rows, 1), scale=None))
    assert not is_kept(base)
    worn = fast(base, inputs)
    assert not torch.allclose(worn, plain, atol=1e-3)
    assert torch.allclose(worn, slow(base, inputs), atol=1e-5)
    point(layer, None)
    assert torch.equal(fast(base, inputs), plain)


def test_a_hook_on_a_time_layer_sees_every_picture(base: VignetteBase, inputs: Inputs) -> None:
    layer = base.denoiser.transformer.norm_out.linear
    seen: list[int] = []

    def silence_the_second(_layer: torch.nn.Module, _args: object, out: Tensor) -> Tensor:
        seen.append(len(out))
        return out * torch.tensor([[1.0], [0.0]])

    with layer.register_forward_hook(silence_the_second):
        assert torch.allclose(fast(base, inputs), slow(base, inputs), atol=1e-5)
    assert seen == [2, 2]


@pytest.mark.parametrize("change", ["pointer", "contents"])
def test_other_weights_are_heard_at_once(base: VignetteBase, inputs: Inputs, change: str) -> None:
    plain = fast(base, inputs)
    weight = base.denoiser.transformer.norm_out.linear.weight
    before = weight.data
    if change == "pointer":
        weight.data = before * 2
    else:
        with torch.no_grad():
            weight.mul_(2)
    changed = fast(base, inputs)
    assert is_kept(base)
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert torch.allclose(changed, slow(base, inputs), atol=1e-5)


def test_a_rack_without_loras_changes_nothing(base: VignetteBase, inputs: Inputs) -> None:
    plain = fast(base, inputs)
    Rack(base.modules()).merge()
    assert is_kept(base)
    assert torch.equal(fast(base, inputs), plain)


def test_moments_of_two_merges_in_turns_are_both_kept_and_right(base: VignetteBase, inputs: Inputs) -> None:
    layers = dict(base.modules()["transformer"].named_modules())
    paths = ("norm_out.linear", "transformer_blocks.0.img_mod.1", "transformer_blocks.0.attn.to_q")
    rack = Rack(base.modules())
    draw = torch.Generator().manual_seed(0)
    for name in "abc":
        updates: dict[str, Update] = {
            f"transformer.{path}": LowRank(
                down=torch.randn(2, layers[path].weight.shape[1], generator=draw),
                up=torch.randn(layers[path].weight.shape[0], 2, generator=draw),
            )
            for path in paths
        }
        rack.register(Worn(name, updates))
    for name in ("a", "b", "a", "b", "c", "a", "c", "a"):
        rack.set_adapters({name: 1.0})
        beside = fast(base, inputs)
        rack.merge()
        assert is_kept(base)
        assert torch.allclose(fast(base, inputs), beside, atol=1e-4)
        assert torch.allclose(fast(base, inputs), slow(base, inputs), atol=1e-5)
        with torch.inference_mode():
            quick = base._denoiser(*inputs, mask=None)
        assert torch.allclose(quick, slow(base, inputs), atol=1e-4)
    rack.set_adapters({"c": 1.0})
    assert rack.merged
    moments = base._denoiser._moments
    with torch.inference_mode():
        of_c = moments.at(inputs[1])
        rack.set_adapters({"a": 1.0})
        of_a = moments.at(inputs[1])
        rack.set_adapters({"c": 1.0})
        assert moments.at(inputs[1]) is of_c is not of_a
    assert len(moments._states) <= STATES


def test_no_more_than_a_schedules_worth_is_kept(base: VignetteBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.paint.bases.vignette.moments.MOST", 3)
    moments = Moments(base.denoiser.transformer)
    with torch.inference_mode():
        for number in range(10):
            moments.at(torch.tensor([number / 10]))
    (marks,) = moments._states
    state = moments._states.find(marks)
    assert state is not None
    assert len(state[1]) == 3
