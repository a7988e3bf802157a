"""The side path: a second, narrow way through a layer on which a LoRA answers at once.

    y = W x + b  +  up (scale * (down x))

`prepare` turns a layer into one that looks for a `SidePath` at every call; `point` says which. Pointing is one
assignment, so a LoRA of 560 layers is swapped in less than a millisecond, whatever its size. The layer keeps its
type (a subclass), its parameters and their names.

Shape letters: R ranks of all LoRAs of a layer together, padded; L tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.quantization.layers import QuantizedLinear

AdaptedLayer = nn.Linear | nn.Conv2d
"""What a LoRA can change."""

SIDE = "side"
"""The attribute that holds a prepared layer's side path; set past `nn.Module`, whose own way takes long."""


@dataclass(eq=False)
class Scale:
    """How strongly each rank counts; layers whose ranks are laid out alike share one."""

    vector: Tensor
    """The weight (R,) of the LoRA that each rank belongs to, zero where padded."""
    plain: bool = True
    """Whether every weight is 1, so that multiplying by it may be left out."""


@dataclass(eq=False)
class SidePath:
    """What is added to one layer's output."""

    down: Tensor | None
    """The first matrix (R, in) or (R, in, kh, kw); None if only dense updates touch the layer."""
    up: Tensor | None
    """The second matrix (out, R) or (out, R, 1, 1)."""
    scale: Scale | None
    """The weights of the R ranks."""
    dense: tuple[tuple[Tensor, Tensor], ...] = ()
    """Changes as large as the layer's weight, each with its own weight, a tensor without dimensions."""

    def add_to(self, out: Tensor, x: Tensor) -> None:
        """Add a linear layer's side path's answer to `x` (B, L, in) to `out` (B, L, out), part of a larger tensor."""
        added = add_linear(out, x, self)
        if added is not out:
            out.copy_(added)


class SidedLinear(nn.Linear):
    """A linear layer with room for a side path."""

    side: SidePath | None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that callers by keyword use
        """Return the layer's output with the side path's, if there is one."""
        out = functional.linear(input, self.weight, self.bias)
        side = self.side
        return out if side is None else add_linear(out, input, side)


class SidedConv2d(nn.Conv2d):
    """A convolution with room for a side path."""

    side: SidePath | None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Return the layer's output with the side path's, if there is one."""
        out = self._conv_forward(input, self.weight, self.bias)
        side = self.side
        return out if side is None else add_convolution(self, out, input, side)


def prepare(layer: AdaptedLayer) -> None:
    """Give `layer` room for a side path; does nothing the second time.

    Plain layers change their class. Others (subclasses such as quantised layers, and layers whose `forward` an
    offloading library has replaced) get a forward hook, which costs some microseconds more and works
    with any `forward`.
    """
    if SIDE in vars(layer):
        return
    vars(layer)[SIDE] = None
    if "forward" not in vars(layer) and type(layer) is nn.Linear:
        layer.__class__ = SidedLinear
    elif "forward" not in vars(layer) and type(layer) is nn.Conv2d:
        layer.__class__ = SidedConv2d
    else:
        layer.register_forward_hook(_add_after, with_kwargs=True)


def weight_kind(layer: AdaptedLayer) -> tuple[tuple[int, ...], torch.dtype]:
    """Return the shape of a layer's weight and the number format it computes in, quantised or not."""
    if isinstance(layer, QuantizedLinear):
        return layer.shape, layer.compute_dtype
    return tuple(layer.weight.shape), layer.weight.dtype


def pristine_weight(layer: AdaptedLayer) -> Tensor:
    """Return the weight of a layer that shows no merged one, float32 where it is quantised."""
    dequantize = getattr(layer, "dequantize", None)
    weight: Tensor = layer.weight.detach() if dequantize is None else dequantize(torch.float32)
    return weight


def point(layer: AdaptedLayer, side: SidePath | None) -> None:
    """Let `layer`, which is prepared, compute with `side` from the next call on."""
    vars(layer)[SIDE] = side


def add_linear(out: Tensor, x: Tensor, side: SidePath) -> Tensor:
    """Return `out` (..., out) plus the side path's answer to `x` (..., in); `out` itself may be written to."""
    if side.down is not None and side.up is not None:
        hidden = _scaled(functional.linear(x, side.down), side.scale, ())
        if _has_rows(out) and out.dtype == hidden.dtype == side.up.dtype:
            # One product that adds in place: no second output, which for few tokens costs as much as the product.
            rows = out.view(-1, out.shape[-1])
            rows.addmm_(hidden.view(-1, hidden.shape[-1]), side.up.t())
        else:
            out = out + functional.linear(hidden, side.up)
    for delta, weight in side.dense:
        out = out + functional.linear(x, delta) * weight
    return out


def add_convolution(layer: nn.Conv2d, out: Tensor, x: Tensor, side: SidePath) -> Tensor:
    """Return `out` (B, out, H, W) plus the side path's answer to `x` (B, in, H', W')."""
    if side.down is not None and side.up is not None:
        # The layer's own way of convolving: its stride, padding and padding mode hold for the kernel in `down`.
        hidden = _scaled(layer._conv_forward(x, side.down, None), side.scale, (1, 1))
        out = out + functional.conv2d(hidden, side.up)
    for delta, weight in side.dense:
        out = out + layer._conv_forward(x, delta, None) * weight
    return out


def _has_rows(out: Tensor) -> bool:
    """Return whether all tokens of `out` (..., out) lie one after the other at even steps, as rows of one matrix."""
    if out.is_contiguous():
        return True
    if torch.compiler.is_compiling() or out.dim() != 3 or out.stride(2) != 1:
        return False
    return out.shape[0] == 1 or out.stride(0) == out.shape[1] * out.stride(1)


def _scaled(hidden: Tensor, scale: Scale | None, trailing: tuple[int, ...]) -> Tensor:
    # A compiled graph multiplies always, and must not even look at `plain`: it would be compiled anew for the first
    # slider that leaves 1.
    if scale is not None and (torch.compiler.is_compiling() or not scale.plain):
        return hidden * scale.vector.view(-1, *trailing)
    return hidden


def _add_after(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> Tensor:
    side: SidePath | None = vars(layer)[SIDE]
    if side is None:
        return out
    x: Tensor = (args[0] if args else kwargs["input"]).to(out.device)
    if isinstance(layer, nn.Conv2d):
        return add_convolution(layer, out, x, side)
    return add_linear(out, x, side)
