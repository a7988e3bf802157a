"""Convolutions on a CPU whose weights are packed once in oneDNN's layout, which it otherwise does in every call.

Each also computes the activation or the sum that follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.bases.vignette.autoencoder import Resize, match_channels
from allaprima.paint.bases.vignette.winograd import Winograd

# The operations that torch.compile emits for convolutions on CPUs; they have no public name.
_ONEDNN: Any = torch.ops.mkldnn
_OPERATIONS = ("_reorder_convolution_weight", "_convolution_pointwise", "_convolution_pointwise_")


def has_packed_convolutions() -> bool:
    """Return whether this torch has them and may use them now."""
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch._C._get_mkldnn_enabled()
        and all(hasattr(_ONEDNN, name) for name in _OPERATIONS)
    )


class PackedConvolution:
    """A convolution of stride 1 that keeps the size, its weight (out, in, k, k) packed for inputs of `size`."""

    def __init__(self, weight: Tensor, bias: Tensor, size: Sequence[int]) -> None:
        self._rest = ([weight.shape[-1] // 2] * 2, [1, 1], [1, 1], 1)
        padding, stride, dilation, groups = self._rest
        shape = [1, weight.shape[1], *size]
        self._weight = _ONEDNN._reorder_convolution_weight(
            weight.detach(), padding, stride, dilation, groups, shape
        )
        self._bias = bias.detach()

    def __call__(self, x: Tensor, activation: str = "none") -> Tensor:
        """Return the convolution of `x`, activated."""
        result: Tensor = _ONEDNN._convolution_pointwise(
            x, self._weight, self._bias, *self._rest, activation, [], None
        )
        return result

    def add_to(self, x: Tensor, changed: Tensor) -> Tensor:
        """Add the convolution of `changed` to `x`, in place."""
        result: Tensor = _ONEDNN._convolution_pointwise_.binary(
            x, changed, self._weight, self._bias, *self._rest, "add", 1.0, None, [], None
        )
        return result


@dataclass(frozen=True, kw_only=True)
class PackedBlock:
    """A `ResidualBlock` that overwrites its input."""

    first: PackedConvolution
    second: PackedConvolution

    def __call__(self, x: Tensor) -> Tensor:
        """Return the block's output, which takes the place of `x`."""
        return self.second.add_to(x, self.first(x, "swish"))


@dataclass(frozen=True, kw_only=True)
class WideBlock:
    """A `ResidualBlock` of many channels that overwrites its input, whose sides are even."""

    first: Winograd
    second: Winograd

    def __call__(self, x: Tensor) -> Tensor:
        """Return the block's output, which takes the place of `x`."""
        changed = functional.silu(self.first(x), inplace=True)
        batch, channels, height, width = x.shape
        pixels = changed.permute(2, 3, 0, 4, 1, 5).reshape(batch, height, width, channels)
        changed = self.second(pixels.permute(0, 3, 1, 2))
        tiles = x.permute(0, 2, 3, 1).view(batch, height // 2, 2, width // 2, 2, channels)
        tiles.add_(changed.permute(2, 3, 0, 4, 1, 5))
        return x


def bias_of(layer: nn.Conv2d) -> Tensor:
    """Return the bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias.detach()


def with_shortcut(layer: Resize) -> Tensor:
    """Return the weight of `layer` with its shortcut, which is `match_channels` of each input channel alone."""
    weight = layer.project.weight.detach().clone()
    out, entering, height, width = weight.shape
    alone = torch.eye(entering)[:, :, None, None]
    weight[:, :, height // 2, width // 2] += match_channels(alone, out)[:, :, 0, 0].t()
    return weight
