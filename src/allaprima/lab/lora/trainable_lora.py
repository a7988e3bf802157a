"""A LoRA that learns: two matrices beside each chosen layer of a frozen network, by peft's maths.

    lora = TrainableLora(find_layers(network, "attention"), rank=16)
    with hang(lora, layers):
        base.predict(latents, t, text)      # the layers' outputs, with alpha / rank up(down(x)) added

The matrices are a module of their own, so a training averages and writes them alone; the network is only lent the
hooks that add their part, and is as it was without them. Fresh matrices change nothing, for `up` is zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.errors import UserError
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.lora.files.dialects import DENOISERS
from allaprima.paint.lora.runtime.side_path import weight_kind
from allaprima.paint.lora.update import LowRank

LayerChoice = Literal["attention", "all"]
"""Which layers learn: attention's projections, or all that are linear or convolutions in the network's blocks."""
Adaptable = nn.Linear | nn.Conv2d

_ATTENTION = re.compile(r"(^|\.)(to_[qkv]|to_out(\.0)?|add_[qkv]_proj|to_add_out|to_qkv(_mlp_proj)?)$")
_BLOCK = re.compile(r"(^|\.)\d+\.")
"""Blocks are numbered; what stands around them, such as the time's embedding, is no part of kohya's LoRAs."""
_WIDE = 1280
_WIDE_RATE = 2e-4


def denoiser_of(base: Base) -> tuple[str, nn.Module]:
    """Return a base's denoiser and what LoRA files call it."""
    return next((name, network) for name, network in base.modules().items() if name in DENOISERS)


def find_layers(network: nn.Module, targets: LayerChoice) -> dict[str, Adaptable]:
    """Return the layers that learn by their path in the network.

    Raises:
        UserError: there is none.
    """
    layers = {
        path: layer
        for path, layer in network.named_modules()
        if _BLOCK.search(path)
        and (isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1))
    }
    chosen = {path: layer for path, layer in layers.items() if targets == "all" or _ATTENTION.search(path)}
    if not chosen:
        raise UserError(f"got targets {targets}, which this base has none of; expected all")
    return chosen


def layers_at(network: nn.Module, paths: Iterable[str]) -> dict[str, Adaptable]:
    """Return the layers at these paths, each of which a LoRA was made for."""
    layers = {path: network.get_submodule(path) for path in paths}
    return {path: layer for path, layer in layers.items() if isinstance(layer, Adaptable)}


def default_rate(layers: Mapping[str, Adaptable]) -> float:
    """Return a learning rate that suits layers of this width: 2e-4 for SDXL's and wider, more for narrower ones.

    What a step changes grows with a layer's inputs, so the best rate falls as they grow (muP, arXiv:2203.03466).
    """
    widths = sorted(math.prod(weight_kind(layer)[0][1:]) for layer in layers.values())
    return _WIDE_RATE * max(1.0, _WIDE / widths[len(widths) // 2])


class TrainableLora(nn.Module):
    """The matrices of a LoRA.

    Args:
        layers: what they are for, by path.
        ranks: of each layer's matrices, by path.
        alpha: a layer's update counts alpha / rank times; None for as many times as it says, once.
        seed: of the first matrices.
    """

    def __init__(
        self, layers: Mapping[str, Adaptable], ranks: Mapping[str, int], *, alpha: float | None = None, seed: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        self.paths = tuple(layers)
        self.scales = tuple(1.0 if alpha is None else alpha / ranks[path] for path in self.paths)
        shapes = [weight_kind(layer)[0] for layer in layers.values()]
        kernels = [(1,) * (len(shape) - 2) for shape in shapes]
        halves = list(zip(self.paths, shapes, kernels, strict=True))
        self.down = nn.ParameterList(torch.empty(ranks[path], *shape[1:]) for path, shape, _ in halves)
        self.up = nn.ParameterList(
            torch.zeros(shape[0], ranks[path], *kernel) for path, shape, kernel in halves
        )
        generator = torch.Generator().manual_seed(seed)
        for matrix in self.down:
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5), generator=generator)

    def forward(self, base: Base, latents: Tensor, t: Tensor, text: TextStates) -> Tensor:
        """Return the base's prediction, float32, with whatever hangs on its layers."""
        return base.predict(latents, t, text).float()

    @torch.no_grad()
    def updates(self) -> dict[str, LowRank]:
        """Return what the LoRA does to each layer, float32 on the CPU, by path."""
        halves = zip(self.paths, self.down, self.up, self.scales, strict=True)
        return {
            path: LowRank(
                down=down.detach().float().cpu().clone(), up=up.detach().float().cpu().clone(), scale=scale
            )
            for path, down, up, scale in halves
        }

    @torch.no_grad()
    def begin_with(self, updates: Mapping[str, LowRank]) -> None:
        """Take the matrices of a LoRA of the same layers and ranks."""
        for path, down, up, scale in zip(self.paths, self.down, self.up, self.scales, strict=True):
            update = updates[path]
            down.copy_(update.down)
            up.copy_(update.up.float() * (update.scale / scale))


def hang(lora: TrainableLora, layers: Mapping[str, Adaptable]) -> ExitStack:
    """Add a LoRA's part to what its layers put out, until what is returned is closed."""
    hooks = ExitStack()
    for path, down, up, scale in zip(lora.paths, lora.down, lora.up, lora.scales, strict=True):
        handle = layers[path].register_forward_hook(_adding(down, up, scale))
        hooks.callback(handle.remove)
    return hooks


def _adding(down: Tensor, up: Tensor, scale: float) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    """Return a hook that adds scale up(down(x)), as peft does: in the matrices' own format, or autocast's."""

    def add(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        x = inputs[0]
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(down.dtype)
        if isinstance(layer, nn.Conv2d):
            first = partial(
                functional.conv2d, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
            )
            side = functional.conv2d(first(x, down), up)
        else:
            side = functional.linear(functional.linear(x, down), up)
        return output + (side * scale).to(output.dtype)

    return add
