"""Layers whose weights stay quantised in memory.

    layer = QuantizedLinear(stored, bias=bias, dtype=torch.bfloat16)

`weight` holds the file's bytes (uint8) and `scale` the bits of float32 numbers (int32). So `network.to(device)` moves
them like any other parameter, no cast of the network changes them, and what asks a network for its number format is
told that of its biases and norms.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.quantization.products import find_product
from allaprima.paint.quantization.stored import StoredWeight, dequantize


class _Quantized(nn.Module):
    """What both kinds of layers share: a weight of `shape` as bytes, row by row."""

    weight: Tensor
    scale: nn.Parameter | None
    like: Tensor
    """Nothing, in the number format that the layer computes in; casts of the network reach it."""

    def _keep(self, stored: StoredWeight, dtype: torch.dtype) -> None:
        rows = stored.data.reshape(stored.shape[0], -1).view(torch.uint8)
        self.format, self.shape, self.item = stored.format, stored.shape, stored.data.dtype
        self.weight = _frozen(rows)
        scale = None if stored.scale is None else _frozen(_bits(stored.scale.float(), rows.device))
        self.register_parameter("scale", scale)
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=rows.device))

    @property
    def compute_dtype(self) -> torch.dtype:
        """The number format that it computes in; diffusers asks quantised layers for it."""
        return self.like.dtype

    @property
    def scales(self) -> Tensor | None:
        """What the weight is multiplied with, float32; None for nothing."""
        return None if self.scale is None else self.scale.view(torch.float32)

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """Return the weight itself."""
        return dequantize(self._items.reshape(-1), self.format, self.shape, self.scales, dtype)

    @property
    def _items(self) -> Tensor:
        """The data as they were stored, row by row."""
        return self.weight.view(self.item)


class QuantizedLinear(_Quantized, nn.Linear):
    """A linear layer with a quantised weight.

    Args:
        stored: the weight (out, in).
        dtype: what it computes in until the network is cast.
    """

    def __init__(self, stored: StoredWeight, *, bias: Tensor | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = stored.shape
        self._keep(stored, dtype)
        self.register_parameter("bias", None if bias is None else _frozen(bias.to(dtype)))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that callers by keyword use
        """Return the product (..., out), by int8 or fp8 where the device is quick at it, else by dequantising.

        Rounded inputs have no gradient, so a product that is differentiated dequantises too.
        """
        if torch.is_grad_enabled() and input.requires_grad:
            differentiated: Tensor = _Differentiated.apply(input, self)  # type: ignore[no-untyped-call]
            return differentiated
        product = find_product(self.format, input, self.out_features)
        if product is not None:
            return product(input, self._items, self.scales, self.bias)
        return functional.linear(input, self.dequantize(input.dtype), self.bias)

    def extra_repr(self) -> str:
        """Return sizes and format."""
        return f"{super().extra_repr()}, format={self.format}"


class _Differentiated(torch.autograd.Function):
    """A product with a frozen weight that is dequantised once more for the gradient, not kept until then."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLinear) -> Tensor:
        """Return the product (..., out)."""
        ctx.layer = layer
        return functional.linear(x, layer.dequantize(x.dtype), layer.bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the input (..., in)."""
        return gradient @ ctx.layer.dequantize(gradient.dtype), None


class QuantizedEmbedding(_Quantized, nn.Embedding):
    """A table of vectors with a quantised weight, of which only the rows asked for are dequantised."""

    def __init__(self, stored: StoredWeight, *, padding_idx: int | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = stored.shape
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, None, 2.0
        self.scale_grad_by_freq = self.sparse = False
        self._keep(stored, dtype)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Return the vectors (..., width) of tokens (...)."""
        tokens, scales = input.reshape(-1), self.scales
        if scales is not None and scales.numel() > 1:
            scales = scales.view(self.num_embeddings, -1)[tokens]
        rows = self._items[tokens]
        found = dequantize(
            rows.reshape(-1), self.format, (len(tokens), self.embedding_dim), scales, self.compute_dtype
        )
        return found.view(*input.shape, self.embedding_dim)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _bits(scale: Tensor, device: torch.device) -> Tensor:
    return scale.to(device).reshape(-1).view(torch.int32)
