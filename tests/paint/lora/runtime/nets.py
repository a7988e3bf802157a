"""A network with one layer of each kind, LoRAs for it made in memory, and what it has to answer with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import Decomposed, Dense, LowRank, Update, delta_of


@dataclass(frozen=True)
class Made:
    """A LoRA made in memory."""

    name: str
    updates: Mapping[str, Update]
    vectors: Mapping[str, Tensor] = field(default_factory=dict)


class Net(nn.Module):
    """One of each kind of layer that a LoRA can touch, and one that it cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 8, 3, stride=2, padding=1, padding_mode="reflect")
        self.point = nn.Conv2d(8, 12, 1)
        self.groups = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.first = nn.Linear(12, 24)
        self.norm = nn.LayerNorm(24)
        self.second = nn.Linear(24, 12, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.groups(self.point(self.near(x)).tanh())
        out: Tensor = self.second(self.norm(self.first(x.flatten(2).transpose(1, 2))))
        return out


SHAPES = {"near": (8, 3, 3, 3), "point": (12, 8, 1, 1), "first": (24, 12), "second": (12, 24)}


def make_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().requires_grad_(requires_grad=False).eval()


def low_rank(shape: tuple[int, ...], rank: int, draw: torch.Generator) -> LowRank:
    down = torch.randn(rank, *shape[1:], generator=draw) / 4
    up = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=draw) / 4
    return LowRank(down=down, up=up)


def make_lora(name: str, seed: int, rank: int = 4, only: tuple[str, ...] = tuple(SHAPES)) -> Made:
    draw = torch.Generator().manual_seed(seed)
    return Made(name, {f"net.{path}": low_rank(SHAPES[path], rank, draw) for path in only})


def make_dense(name: str, seed: int) -> Made:
    draw = torch.Generator().manual_seed(seed)
    return Made(
        name,
        {
            "net.second": Dense(delta=torch.randn(12, 24, generator=draw) / 8),
            "net.groups": Dense(delta=torch.randn(12, 4, 3, 3, generator=draw) / 8),
            "net.first": low_rank((24, 12), 2, draw),
        },
    )


def make_dora(name: str, seed: int) -> Made:
    """Return a DoRA of both axes and both meanings of a weight, over low ranks and a whole matrix."""
    draw, net = torch.Generator().manual_seed(seed), make_net()

    def lengths(path: str, axis: int) -> Tensor:
        weight = net.get_parameter(f"{path}.weight")
        norms: Tensor = weight.transpose(0, axis).flatten(1).norm(dim=1)
        return norms * (1 + torch.rand(norms.shape, generator=draw))

    inside = {"near": (0, True), "first": (0, False), "second": (1, False), "groups": (0, True)}
    updates: dict[str, Update] = {
        f"net.{path}": Decomposed(
            change=Dense(delta=torch.randn(12, 4, 3, 3, generator=draw) / 8)
            if path == "groups"
            else low_rank(SHAPES[path], 3, draw),
            magnitude=lengths(path, axis),
            axis=axis,
            scales_change=scales,
        )
        for path, (axis, scales) in inside.items()
    }
    updates["net.point"] = low_rank(SHAPES["point"], 2, draw)
    return Made(name, updates)


def make_vectors(name: str, seed: int) -> Made:
    draw = torch.Generator().manual_seed(seed)
    sizes = {"net.near.bias": 8, "net.norm.weight": 24, "net.norm.bias": 24, "net.first.bias": 24}
    return Made(name, {}, {key: torch.randn(size, generator=draw) for key, size in sizes.items()})


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
A, B, D = make_lora("a", 1), make_lora("b", 2, rank=17, only=("near", "second")), make_dense("d", 3)
LORAS = {lora.name: lora for lora in (A, B, D)}


def answer(net: nn.Module) -> Tensor:
    out: Tensor = net(X)
    return out


def expected(wanted: Mapping[str, float], loras: Mapping[str, Made] = LORAS) -> Tensor:
    """Return what a network answers whose weights were changed by hand."""
    net, pristine = make_net(), make_net()
    for name, weight in wanted.items():
        for key, update in loras[name].updates.items():
            parameter = net.get_parameter(key.removeprefix("net.") + ".weight")
            if isinstance(update, Decomposed):
                parameter.add_(
                    update.delta(pristine.get_parameter(key.removeprefix("net.") + ".weight"), weight)
                )
            else:
                parameter.add_(delta_of(update), alpha=weight)
        for key, vector in loras[name].vectors.items():
            net.get_parameter(key.removeprefix("net.")).add_(vector, alpha=weight)
    return answer(net)


def is_merged(rack: Rack) -> bool:
    """Ask again each time, which the type checker does not do with a property."""
    return rack.merged


def close(left: Tensor, right: Tensor) -> bool:
    return bool(torch.allclose(left, right, atol=2e-6, rtol=1e-5))


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def make_rack(net: nn.Module, *, keep_addresses: bool | None = None, **options: Any) -> Rack:
    rack = Rack({"net": net}, keep_addresses=keep_addresses, **options)
    for lora in LORAS.values():
        rack.register(lora)
    return rack
