"""DoRA on the rack: as merging by hand and as PEFT, at every weight, in company, and off again bit for bit."""

from __future__ import annotations

import copy

import peft
import pytest
import torch
from tests.paint.lora.runtime.nets import (
    LORAS,
    Made,
    X,
    answer,
    close,
    expected,
    low_rank,
    make_dora,
    make_net,
    make_rack,
    same,
    weights_of,
)

from allaprima.core.errors import LoraError
from allaprima.paint.lora.update import Decomposed

DORA = make_dora("dora", 5)
WITH = {**LORAS, "dora": DORA}


@pytest.mark.parametrize("wanted", [{"dora": 1.0}, {"dora": 0.4, "a": -0.7, "d": 1.5}, {"dora": -1.0}])
@pytest.mark.parametrize("merging", [False, True])
def test_it_is_what_merging_by_hand_is(*, keep: bool, merging: bool, wanted: dict[str, float]) -> None:
    net = make_net()
    plain, weights = answer(net), weights_of(net)
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    rack.merge()  # merged weights of another LoRA are in place when it comes
    rack.register(DORA)
    rack.set_adapters(wanted)
    if merging:
        assert rack.merge()
    assert close(answer(net), expected(wanted, WITH))
    rack.set_adapters({"dora": 0.2})
    assert close(answer(net), expected({"dora": 0.2}, WITH))
    rack.set_adapters({})
    assert same(weights_of(net), weights)
    assert torch.equal(answer(net), plain)


def test_a_weight_of_zero_is_absence() -> None:
    net = make_net()
    plain = answer(net)
    rack = make_rack(net)
    rack.register(DORA)
    rack.set_adapters({"dora": 0.0})
    assert torch.equal(answer(net), plain)


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("path", ["near", "first"])
def test_it_is_what_peft_paints(path: str, weight: float) -> None:
    draw, net = torch.Generator().manual_seed(3), make_net()
    net.near.padding_mode = "zeros"  # PEFT knows no other for what it adds
    config = peft.LoraConfig(r=4, lora_alpha=4, use_dora=True, target_modules=[path], init_lora_weights=False)
    theirs = peft.get_peft_model(copy.deepcopy(net), config)
    layer = theirs.get_submodule(f"base_model.model.{path}")
    update = low_rank(tuple(net.get_parameter(f"{path}.weight").shape), 4, draw)
    magnitude = layer.lora_magnitude_vector["default"].weight.detach()  # type: ignore[index,union-attr]
    magnitude.mul_(torch.rand(magnitude.shape, generator=draw) + 0.5)
    layer.lora_A["default"].weight.data.copy_(update.down)  # type: ignore[index,union-attr]
    layer.lora_B["default"].weight.data.copy_(update.up)  # type: ignore[index,union-attr]
    layer.set_scale("default", weight)  # type: ignore[operator]
    dora = Decomposed(change=update, magnitude=magnitude.flatten(), axis=0, scales_change=True)
    rack = make_rack(net)
    rack.register(Made("dora", {f"net.{path}": dora}))
    rack.set_adapters({"dora": weight})
    with torch.no_grad():
        assert close(answer(net), theirs(X))


def test_without_the_bases_weights_it_is_refused_and_nothing_changes() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.register(DORA)
    plain = answer(net)
    weight = net.first.weight
    net.first.weight = torch.nn.Parameter(weight.to("meta"), requires_grad=False)
    with pytest.raises(LoraError, match="dora is a DoRA, which depends on the base's weights"):
        rack.set_adapters({"dora": 1.0})
    assert rack.attached == {}
    net.first.weight = weight
    assert torch.equal(answer(net), plain)


def test_lengths_that_do_not_fit_are_refused() -> None:
    change = low_rank((24, 12), 2, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"got .* lengths; expected 12"):
        Decomposed(change=change, magnitude=torch.ones(24), axis=1)
