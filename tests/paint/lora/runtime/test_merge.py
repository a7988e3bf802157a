from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from tests.paint.lora.runtime.nets import (
    SHAPES,
    Made,
    X,
    close,
    expected,
    is_merged,
    low_rank,
    make_lora,
    make_net,
    make_rack,
    same,
    weights_of,
)
from torch import Tensor, nn

from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank, delta_of, merge_into


@pytest.mark.parametrize(
    "wanted", [{"a": 1.0}, {"a": 0.3}, {"d": 1.0}, {"a": -0.5, "b": 2.0}, {"a": 0.5, "b": 0.7, "d": -1.5}]
)
def test_side_path_and_merge_answer_as_changed_weights_do(wanted: dict[str, float], *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    assert not torch.allclose(expected(wanted), net(X), atol=1e-2)
    rack.set_adapters(wanted)
    assert close(net(X), expected(wanted))
    assert not is_merged(rack)
    assert rack.merge()
    assert is_merged(rack)
    assert close(net(X), expected(wanted))


def test_kept_addresses_stay_while_attached_and_merged() -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=True)
    rack.register(make_lora("e", 9))
    addresses = [parameter.data_ptr() for parameter in net.parameters()]
    sides = []
    for name in ("a", "e", "a"):
        rack.set_adapters({name: 1.0})
        side = vars(net.first)["side"]
        sides.append((side.down.data_ptr(), side.up.data_ptr(), side.scale.vector.data_ptr()))
        rack.merge()
        assert [parameter.data_ptr() for parameter in net.parameters()] == addresses
    assert len(set(sides)) == 1


def test_what_is_wanted_again_stays_merged() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 0.5})
    rack.merge()
    rack.set_adapters({"a": 0.5})
    assert is_merged(rack)
    rack.set_adapters({"a": 0.5, "b": 0.0})
    assert is_merged(rack)
    rack.set_adapters({"a": 0.6})
    assert not is_merged(rack)
    assert close(net(X), expected({"a": 0.6}))


def test_a_merge_goes_on_where_its_budget_ended_and_shows_nothing_before_the_end(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    seen, before = net(X), weights_of(net)
    calls = 0
    while not rack.merge(budget_s=0.0):
        calls += 1
        assert torch.equal(net(X), seen)
        assert same(weights_of(net), before)
    assert calls == len(SHAPES) - 1
    assert close(net(X), expected({"a": 1.0}))


def test_a_merge_overtaken_by_another_wish_is_discarded(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    rack.merge(budget_s=0.0)
    rack.set_adapters({"d": 1.0})
    rack.merge()
    assert close(net(X), expected({"d": 1.0}))
    rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))


def test_two_contents_in_turns_are_both_merged_and_a_third_takes_the_older_ones_place() -> None:
    net = make_net()
    rack = make_rack(net)
    seen = {}
    for weight in (1.0, 0.5):
        rack.set_adapters({"a": weight})
        rack.merge()
        seen[weight] = net(X)
        assert close(seen[weight], expected({"a": weight}))
    both = rack.num_bytes
    for weight in (1.0, 0.5, 1.0):
        rack.set_adapters({"a": weight})
        assert is_merged(rack)
        assert torch.equal(net(X), seen[weight])
    rack.set_adapters({"a": 0.25})
    assert not is_merged(rack)
    rack.merge()
    assert rack.num_bytes == both
    for wanted, merged in (({"a": 1.0}, True), ({"a": 0.25}, True), ({"a": 0.5}, False)):
        rack.set_adapters(wanted)
        assert is_merged(rack) == merged
        assert close(net(X), expected(wanted))
    rack.set_adapters({})
    assert same(weights_of(net), weights_of(make_net()))


def test_merges_begun_in_turns_are_both_gone_on_with_and_do_not_cost_a_whole_one() -> None:
    net = make_net()
    rack = make_rack(net)
    for _ in range(len(SHAPES)):
        for weight in (1.0, 0.5):
            rack.set_adapters({"a": weight})
            rack.merge(budget_s=0.0)
    rack.set_adapters({"a": 1.0})
    assert is_merged(rack)
    for weight in (0.1, 0.2, 0.3):  # a slider on its way
        rack.set_adapters({"a": weight})
        rack.merge(budget_s=0.0)
        assert close(net(X), expected({"a": weight}))
    rack.set_adapters({"a": 1.0})
    assert is_merged(rack)
    assert close(net(X), expected({"a": 1.0}))


def test_a_kept_merge_is_not_shown_for_a_lora_of_its_name_or_to_a_network_that_was_cast() -> None:
    net = make_net()
    rack = make_rack(net)
    for wanted in ({"a": 1.0}, {"d": 1.0}):
        rack.set_adapters(wanted)
        rack.merge()
    rack.register(Made("a", make_lora("a", 7).updates))
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)
    assert close(net(X), expected({"a": 1.0}, {"a": make_lora("a", 7)}))
    net.double()  # while a merge is shown
    rack.set_adapters({})
    assert {weight.dtype for weight in net.state_dict().values()} == {torch.float64}
    rack.set_adapters({"d": 1.0})
    assert not is_merged(rack)


def test_a_merge_of_weights_that_were_exchanged_is_made_again() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    rack.merge()
    rack.set_adapters({})
    doubled = {name: 2 * weight for name, weight in weights_of(net).items()}
    net.load_state_dict(doubled, assign=True)
    plain = net(X)
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)
    beside = net(X)
    rack.merge()
    assert close(net(X), beside)
    rack.set_adapters({})
    assert torch.equal(net(X), plain)


def test_a_merge_made_again_that_fails_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    rack.merge()
    rack.set_adapters({})
    net.double()
    rack.set_adapters({"a": 1.0})
    layers = [
        module for module in net.modules() if "side" in vars(module) and vars(module)["side"] is not None
    ]

    def fail(*_args: Any, out: Tensor, **_options: Any) -> None:
        out.fill_(1e3)
        raise MemoryError

    monkeypatch.setattr("allaprima.paint.lora.runtime.merge.merge_into", fail)
    for _ in layers:
        with pytest.raises(MemoryError):
            rack.merge()
    assert not is_merged(rack)
    assert all(layer.weight.abs().max() < 100.0 for layer in layers if isinstance(layer, nn.Linear))


@pytest.mark.parametrize("options", [{"keeps_merges": False}, {"keep_addresses": True}])
def test_no_merge_is_kept_where_memory_is_counted_or_addresses_stay(options: dict[str, Any]) -> None:
    rack = make_rack(make_net(), **options)
    for wanted in ({"a": 1.0}, {"d": 1.0}):
        rack.set_adapters(wanted)
        rack.merge()
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)


def test_a_merge_that_fails_leaves_the_side_paths(monkeypatch: pytest.MonkeyPatch, *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    seen, before = net(X), weights_of(net)
    tries = iter([False, False, True])

    def fail_third(*args: Any, **kwargs: Any) -> None:
        if next(tries):
            raise KeyboardInterrupt
        merge_into(*args, **kwargs)

    monkeypatch.setattr("allaprima.paint.lora.runtime.merge.merge_into", fail_third)
    with pytest.raises(KeyboardInterrupt):
        rack.merge()
    monkeypatch.undo()
    assert torch.equal(net(X), seen)
    assert same(weights_of(net), before)
    assert rack.merge()
    assert close(net(X), expected({"a": 1.0}))
    rack.set_adapters({})
    assert same(weights_of(net), before)


def test_merging_bf16_rounds_once() -> None:
    net = make_net().bfloat16()
    draw = torch.Generator().manual_seed(4)
    small = {"net.first": low_rank((24, 12), 4, draw)}
    small["net.first"].up.mul_(1e-2)
    rack = Rack({"net": net})
    rack.register(Made("small", small))
    pristine = net.first.weight.clone()
    side = LowRank(down=small["net.first"].down.bfloat16(), up=small["net.first"].up.bfloat16())
    rack.set_adapters({"small": 1.0})
    rack.merge()
    assert net.first.weight.dtype == torch.bfloat16
    assert torch.equal(net.first.weight, (pristine.float() + delta_of(side)).bfloat16())
    rack.set_adapters({})
    assert torch.equal(net.first.weight, pristine)


def test_merging_gives_way_where_weights_are_shared_or_moved_about_or_too_large() -> None:
    tied = make_net()
    tied.twin = nn.Linear(12, 24)
    tied.twin.weight = tied.first.weight
    limited = make_net()
    hooked = make_net()
    add_hook_to_module(hooked.first, ModelHook())
    for net, max_merge_bytes in ((tied, None), (limited, 100), (hooked, None)):
        rack = make_rack(net, max_merge_bytes=max_merge_bytes)
        rack.set_adapters({"a": 1.0})
        assert not rack.merge()
        assert not is_merged(rack)
        assert close(net(X), expected({"a": 1.0}))
