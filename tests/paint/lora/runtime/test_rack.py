from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.paint.lora.runtime.nets import (
    LORAS,
    X,
    answer,
    close,
    expected,
    make_net,
    make_rack,
    same,
    weights_of,
)
from torch import Tensor

from allaprima.core.errors import LoraError


@pytest.mark.parametrize("merging", [False, True])
def test_a_b_a_and_detach_give_the_first_bits_back(*, keep: bool, merging: bool) -> None:
    net = make_net()
    plain_weights, plain = weights_of(net), net(X)
    rack = make_rack(net, keep_addresses=keep)
    addresses = [parameter.data_ptr() for parameter in net.parameters()]

    def attached(name: str) -> tuple[Tensor, dict[str, Tensor]]:
        rack.set_adapters({name: 0.8})
        if merging:
            assert rack.merge()
        seen = answer(net), weights_of(net)
        rack.set_adapters({})
        assert same(weights_of(net), plain_weights)
        assert torch.equal(net(X), plain)
        return seen

    first, _, again = attached("a"), attached("b"), attached("a")
    assert torch.equal(first[0], again[0])
    assert same(first[1], again[1])
    assert same(first[1], plain_weights) is not merging
    assert [parameter.data_ptr() for parameter in net.parameters()] == addresses


def test_bad_uses_say_so_and_change_nothing() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    seen = net(X)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(LoraError, match="expected a finite number"):
            rack.set_adapters({"a": bad})
    with pytest.raises(LoraError, match="'c'; expected one that is registered: a, b, d"):
        rack.set_adapters({"a": 1.0, "c": 1.0})
    with pytest.raises(LoraError, match="detach it before"):
        rack.forget("a")
    assert torch.equal(net(X), seen)
    rack.set_adapters({})
    rack.forget("a")
    assert rack.registered == ("b", "d")


def test_made_in_inference_mode_used_outside_and_the_other_way_round() -> None:
    net = make_net()
    with torch.inference_mode():
        rack = make_rack(net, keep_addresses=False)
        rack.set_adapters({"a": 0.5})
        rack.merge(0.0)
        seen = net(X)
    assert torch.equal(net(X), seen)
    rack.merge()
    rack.set_adapters({"a": 0.7})
    leaf = X.clone().requires_grad_()
    net(leaf).sum().backward()
    assert leaf.grad is not None
    with torch.inference_mode():
        rack.merge()
        rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))
    assert not net.first.weight.is_inference()


STEPS = st.one_of(
    st.tuples(
        st.just("set_adapters"),
        st.dictionaries(st.sampled_from(sorted(LORAS)), st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
    ),
    st.tuples(st.just("merge"), st.sampled_from([0.0, None])),
    st.tuples(st.just("unmerge"), st.none()),
)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(STEPS, max_size=8), keep_addresses=st.booleans())
def test_whatever_happens_answers_are_right_and_the_way_back_is_exact(
    steps: list[tuple[str, Any]], *, keep_addresses: bool
) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep_addresses)
    wanted: dict[str, float] = {}
    for action, argument in steps:
        if action == "set_adapters":
            wanted = argument
            rack.set_adapters(wanted)
        elif action == "merge":
            rack.merge(argument)
        else:
            rack.unmerge()
        assert close(net(X), expected(wanted))
    rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))
    assert same(weights_of(net), weights_of(make_net()))
