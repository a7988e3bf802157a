from __future__ import annotations

from itertools import permutations

import pytest
import torch
from tests.paint.lora.runtime.nets import (
    Made,
    X,
    close,
    expected,
    make_net,
    make_rack,
)

from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank


def test_weight_zero_equals_absent(*, keep: bool) -> None:
    net = make_net()
    plain = net(X)
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 0.0})
    assert torch.equal(net(X), plain)
    assert rack.attached == {"a": 0.0}
    rack.set_adapters({"a": 0.0, "b": 1.0})
    beside = net(X)
    rack.set_adapters({"b": 1.0})
    assert torch.equal(net(X), beside)


def test_a_weight_that_changes_acts_and_the_order_of_coming_does_not_show(*, keep: bool) -> None:
    pictures = []
    for order in permutations(("a", "b", "d")):
        net = make_net()
        rack = make_rack(net, keep_addresses=keep)
        weights: dict[str, float] = {}
        for name in order:
            weights[name] = 1.0
            rack.set_adapters(weights)
        for name, weight in (("a", 0.25), ("b", 1.5)):
            weights[name] = weight
            rack.set_adapters(weights)
        unmerged = net(X)
        rack.merge()
        pictures.append((unmerged, net(X)))
    assert all(torch.equal(x, y) for pair in pictures for x, y in zip(pair, pictures[0], strict=True))
    assert close(pictures[0][0], expected({"a": 0.25, "b": 1.5, "d": 1.0}))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [16, 5])
def test_a_scale_is_rounded_once_wherever_it_is_multiplied_on(
    stored: torch.dtype, dtype: torch.dtype, rank: int, *, keep: bool
) -> None:
    # Side by side in one row, as in a file.
    row = torch.randn(rank * (12 + 24), generator=torch.Generator().manual_seed(0)).to(stored)
    down, up = row[: rank * 12].view(rank, 12), row[rank * 12 :].view(24, rank)
    net = make_net().to(dtype)
    rack = Rack({"net": net}, keep_addresses=keep)
    rack.register(Made("scaled", {"net.first": LowRank(down=down, up=up, scale=0.3)}))
    rack.set_adapters({"scaled": 1.0})
    side = vars(net.first)["side"]
    assert torch.equal(side.down[:rank], down.to(dtype))
    assert torch.equal(side.up[:, :rank], (up.float() * 0.3).to(dtype))
    assert torch.equal(row, torch.randn(len(row), generator=torch.Generator().manual_seed(0)).to(stored))
