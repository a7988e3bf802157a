"""Biases and norms with LoRAs: as changing them by hand, and off again bit for bit."""

from __future__ import annotations

import pytest
import torch
from tests.paint.lora.runtime.nets import (
    LORAS,
    Made,
    answer,
    close,
    expected,
    make_net,
    make_rack,
    make_vectors,
    same,
    weights_of,
)

from allaprima.core.errors import LoraError

VECTORS = make_vectors("v", 6)
MORE = make_vectors("w", 7)
WITH = {**LORAS, "v": VECTORS, "w": MORE}


@pytest.mark.parametrize("wanted", [{"v": 1.0}, {"v": 0.4, "w": -1.0, "a": 0.7}, {"w": 2.0, "d": 1.0}])
@pytest.mark.parametrize("merging", [False, True])
def test_they_are_what_changing_by_hand_is(*, keep: bool, merging: bool, wanted: dict[str, float]) -> None:
    net = make_net()
    plain, weights = answer(net), weights_of(net)
    rack = make_rack(net, keep_addresses=keep)
    rack.register(VECTORS)
    rack.register(MORE)
    rack.set_adapters(wanted)
    if merging:
        assert rack.merge()
    assert close(answer(net), expected(wanted, WITH))
    with torch.inference_mode():
        assert close(net(torch.zeros(1, 3, 8, 8)), net(torch.zeros(1, 3, 8, 8)))
    assert rack.state("net")
    rack.set_adapters({})
    assert same(weights_of(net), weights)
    assert torch.equal(answer(net), plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_the_base_is_untouched_between_calls_and_after_an_error() -> None:
    net = make_net()
    weights = weights_of(net)
    rack = make_rack(net)
    rack.register(VECTORS)
    rack.set_adapters({"v": 1.0})
    answer(net)
    assert same(weights_of(net), weights)
    with pytest.raises(RuntimeError):
        net.norm(torch.zeros(3))
    assert same(weights_of(net), weights)
    # Weights that are read anew are changed as well.
    net.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    assert close(answer(net), expected({"v": 1.0}, WITH))


@pytest.mark.parametrize(
    ("key", "size", "message"),
    [
        ("net.second.bias", 12, "net.second.bias, which the loaded base does not have"),
        ("net.norm.weight", 12, r"net.norm.weight by \(12,\); expected \(24,\), its shape"),
    ],
)
def test_what_does_not_fit_is_refused(key: str, size: int, message: str) -> None:
    rack = make_rack(make_net())
    with pytest.raises(LoraError, match=message):
        rack.register(Made("x", {}, {key: torch.zeros(size)}))
    assert "x" not in rack.registered


def test_modules_that_are_moved_within_their_call_are_refused() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.register(VECTORS)
    vars(net.norm)["_hf_hook"] = object()
    with pytest.raises(LoraError, match="a bias or a norm, which is moved to the device for single calls"):
        rack.set_adapters({"v": 1.0})
    assert rack.attached == {}
