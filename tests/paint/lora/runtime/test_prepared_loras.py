from __future__ import annotations

import gc

import pytest
import torch
from tests.paint.lora.runtime.nets import (
    LORAS,
    A,
    Made,
    X,
    close,
    expected,
    make_lora,
    make_net,
    make_rack,
    same,
    weights_of,
)
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import Dense, LowRank, Update


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"net.second": LowRank(down=torch.ones(2, 23), up=torch.ones(12, 2))},
            r"\(12, 23\); expected \(12, 24\)",
        ),
        ({"net.second": Dense(delta=torch.ones(24, 12))}, r"\(24, 12\); expected \(12, 24\)"),
        ({"net.norm": Dense(delta=torch.ones(24, 24))}, "net.norm, which the loaded base does not have"),
        ({"other.first": Dense(delta=torch.ones(24, 12))}, "made for another"),
        ({"net.groups": LowRank(down=torch.ones(2, 4, 3, 3), up=torch.ones(12, 2, 1, 1))}, "3 groups"),
    ],
)
def test_a_fault_found_late_changes_nothing(wrong: dict[str, Update], says: str, *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 0.5})
    before, seen = weights_of(net), net(X)
    with pytest.raises(LoraError, match=says):
        rack.register(Made("a", {**A.updates, **wrong}))
    assert rack.attached == {"a": 0.5}
    assert torch.equal(net(X), seen)
    assert same(weights_of(net), before)
    with pytest.raises(LoraError, match="changes nothing"):
        rack.register(Made("a", {}))


def test_registering_anew_reaches_the_next_picture(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0, "b": 0.5})
    rack.merge()
    state = rack.state()
    newer = make_lora("a", 77, rank=5)
    rack.register(newer)
    assert close(net(X), expected({"a": 1.0, "b": 0.5}, {**LORAS, "a": newer}))
    assert rack.state() != state
    assert rack.state("net") == rack.state()
    assert rack.state("text_encoder") == ()


def test_a_lora_that_is_as_needed_is_used_where_it_lies_and_memory_is_made_ready_for_others() -> None:
    net = make_net()
    rack = Rack({"net": net}, keep_addresses=False)
    same_shape = make_lora("same", 1, rank=16)
    rack.register(same_shape)
    assert rack.num_bytes == 0
    rack.set_adapters({"same": 1.0})
    update = same_shape.updates["net.first"]
    assert isinstance(update, LowRank)
    assert vars(net.first)["side"].down.data_ptr() == update.down.data_ptr()
    rack.register(A)
    taken = rack.num_bytes
    rack.merge()
    rack.unmerge()
    assert rack.num_bytes == 2 * taken
    rack.register(make_lora("a", 5))
    assert rack.num_bytes == taken


def test_a_thousand_swaps_over_a_hundred_loras_do_not_grow() -> None:
    net = make_net()
    rack = Rack({"net": net}, cache_bytes=40_000)
    for i in range(100):
        rack.register(make_lora(f"{i:03}", i, rank=1 + i % 4))

    def swap(begin: int, end: int) -> tuple[int, int]:
        for i in range(begin, end):
            rack.set_adapters({f"{i % 100:03}": 1.0, f"{(i * 7) % 100:03}": 0.5})
            if i % 10 == 0:
                rack.merge()
        gc.collect()
        tensors = sum(type(one) is Tensor for one in gc.get_objects())
        return rack.num_bytes, tensors

    swap(0, 200)
    first, last = swap(200, 600), swap(600, 1000)
    assert last[0] <= 1.01 * first[0]
    assert last[1] <= 1.01 * first[1]
    rack.set_adapters({})
    rack.merge()
    assert torch.equal(net(X), make_net()(X))
