"""Quantising weights on the fly: `--quantize fp8`, `int8` or `nf4` for a base whose files are not quantised.

    quantize_network(network, "int8")

| | a weight becomes | bytes |
|---|---|---|
| fp8 | float8 e4m3fn times a scale for each row, whose largest number is 448 | 1 |
| int8 | whole numbers up to 127 times a scale for each row | 1 |
| nf4 | the nearest of 16 levels times a scale for each 64 numbers (arXiv:2305.14314) | 0.56 |

Rounding needs no pictures to calibrate with, and no library. Small layers stay as they are: they would save
nothing, and what they do (the first and last layers, the times) matters to every pixel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from allaprima.paint.quantization.formats import NF4_BLOCK
from allaprima.paint.quantization.loading import exchange
from allaprima.paint.quantization.stored import NF4_LEVELS, StoredWeight

MIN_NUMBERS = 2**18
"""Weights with fewer numbers stay as they are."""
_TINY = 1e-12


def quantize_network(network: nn.Module, name: str, *, min_numbers: int | None = None) -> None:
    """Exchange the linear layers of `network` for ones with weights rounded to the format `name`, one by one.

    A network on the meta device becomes one of the shapes that it would have. Quantised layers stay as they are.

    Args:
        min_numbers: weights with fewer stay; None for `MIN_NUMBERS`.
    """
    least = MIN_NUMBERS if min_numbers is None else min_numbers
    for path, layer in list(network.named_modules()):
        if path and type(layer) is nn.Linear and layer.weight.numel() >= least and _divides(layer, name):
            stored = quantize_weight(layer.weight.detach(), name)
            exchange(network, path, stored, layer.bias, layer.weight.dtype, layer.weight.device)
    for parameter in network.parameters():
        if (
            parameter.is_floating_point()
        ):  # what is still used of a mapped file would keep all of it in memory
            parameter.data = parameter.data.clone()
    network.requires_grad_(requires_grad=False)


def quantize_weight(weight: Tensor, name: str) -> StoredWeight:
    """Return `weight` (out, in) rounded to the format `name`; of a meta tensor, only the shapes."""
    data, scale = ROUNDINGS[name](weight)
    return StoredWeight(data=data, format=name, shape=tuple(weight.shape), scale=scale)


def _divides(layer: nn.Linear, name: str) -> bool:
    """Return whether the rows of a layer's weight are whole blocks."""
    return name != "nf4" or layer.in_features % NF4_BLOCK == 0


def _to_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = _largest(weight) / torch.finfo(torch.float8_e4m3fn).max
    return (weight / scale).to(torch.float8_e4m3fn), scale


def _to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = _largest(weight) / 127
    return (weight / scale).round_().to(torch.int8), scale


def _to_nf4(weight: Tensor) -> tuple[Tensor, Tensor]:
    blocks = weight.reshape(-1, NF4_BLOCK).float()
    scale = _largest(blocks)
    levels = torch.tensor(NF4_LEVELS, device=weight.device)
    between = (levels[1:] + levels[:-1]) / 2
    numbers = torch.bucketize(blocks / scale, between, out_int32=True).to(torch.uint8).view(-1, 2)
    packed = numbers[:, 0] << 4 | numbers[:, 1]
    return packed.view(len(weight), -1), scale


def _largest(rows: Tensor) -> Tensor:
    """Return the largest magnitude of each row (N, 1), float32, never 0."""
    largest = rows.abs().amax(1, keepdim=True)
    return largest.float().clamp_min_(_TINY)


ROUNDINGS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "fp8": _to_fp8,
    "int8": _to_int8,
    "nf4": _to_nf4,
}
"""By the names of `formats.ROUNDED_FORMATS`: (weight (out, in)) -> data and scales."""
