"""The rack on quantised layers: side paths as always, and no byte of the base is ever written."""

from __future__ import annotations

import pytest
import torch
from tests.paint.lora.runtime.nets import make_lora, same, weights_of
from torch import nn

from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank, delta_of
from allaprima.paint.quantization.layers import QuantizedLinear
from allaprima.paint.quantization.rounding import ROUNDINGS, quantize_network

X = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1))


def make_net(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.ModuleDict({"first": nn.Linear(64, 128), "second": nn.Linear(128, 64, bias=False)})
    quantize_network(net, name, min_numbers=1)
    return net.eval()


def answer(net: nn.Module) -> torch.Tensor:
    out: torch.Tensor = net.get_submodule("second")(net.get_submodule("first")(X).tanh())
    return out


def lora(name: str, seed: int) -> object:
    draw = torch.Generator().manual_seed(seed)

    def update(out: int, width: int) -> LowRank:
        return LowRank(
            down=torch.randn(4, width, generator=draw) / 8, up=torch.randn(out, 4, generator=draw) / 8
        )

    made = make_lora(name, seed, only=())
    return type(made)(name, {"net.first": update(128, 64), "net.second": update(64, 128)})


@pytest.mark.parametrize("name", ROUNDINGS)
def test_attach_swap_merge_and_detach_leave_every_byte(name: str, *, keep: bool) -> None:
    net = make_net(name)
    before, plain = weights_of(net), answer(net)
    rack = Rack({"net": net}, keep_addresses=keep)
    loras = {each: lora(each, seed) for seed, each in enumerate("ab")}
    for each in loras.values():
        rack.register(each)  # type: ignore[arg-type]
    for worn in ({"a": 1.0}, {"b": 0.5}, {"a": 0.5, "b": -1.0}):
        rack.set_adapters(worn)
        assert not rack.merge()  # it would have to be rounded again
        assert not rack.merged
        assert same(weights_of(net), before)
        torch.testing.assert_close(answer(net), expected(net, loras, worn), atol=1e-4, rtol=1e-4)
    rack.set_adapters({})
    assert torch.equal(answer(net), plain)
    assert same(weights_of(net), before)


def expected(net: nn.Module, loras: dict[str, object], worn: dict[str, float]) -> torch.Tensor:
    """Return the answer of the layers as they are, plus what each LoRA's whole change makes of their input."""
    out = X
    for path in ("first", "second"):
        layer = net.get_submodule(path)
        assert isinstance(layer, QuantizedLinear)
        deltas = [weight * delta_of(loras[each].updates[f"net.{path}"]) for each, weight in worn.items()]  # type: ignore[attr-defined]
        out = layer.forward(out) + torch.nn.functional.linear(out, torch.stack(deltas).sum(0))
        out = out.tanh() if path == "first" else out
    return out
