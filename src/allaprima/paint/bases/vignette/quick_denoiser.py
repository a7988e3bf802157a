"""The denoiser's quickest form on a CPU, where a third of so small a model's time goes to calling its layers.

It gives the same numbers, except for rounding, by fewer and larger operations. Whatever depends on the time alone is
computed once. Queries, keys and values are one product where their weights are adjacent. Layers without a LoRA are
called as plain functions. A merged LoRA is part of the weights; a layer with a LoRA beside them, or with a hook, is
called itself. If a larger module has a hook, the plain denoiser runs instead, since only that calls it.

Shape letters: B pictures, N image tokens, L text tokens, T = L + N, D width, H heads, W width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.lru import LruCache
from allaprima.paint.bases.vignette.denoiser import PATCH, Denoiser, pack, unpack
from allaprima.paint.bases.vignette.joined_linear import as_one
from allaprima.paint.bases.vignette.mmdit import (
    EPSILON,
    Block,
    FeedForward,
    JointAttention,
    Modulation,
    Moment,
    Widening,
    apply_rotary,
    gelu,
    rotations,
)
from allaprima.paint.bases.vignette.moments import STATES, Moments
from allaprima.paint.bases.vignette.weight_marks import SIDE, have_hooks, is_plain

Product = Callable[[Tensor], Tensor]


class QuickDenoiser:
    """A denoiser's output, in its quick form while painting on a CPU with one time for all pictures."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._transformer = denoiser.transformer
        self._moments = Moments(denoiser.transformer)
        self._blocks = [block for block in self._transformer.transformer_blocks if isinstance(block, Block)]
        self._layers = [layer for layer in self._transformer.modules() if isinstance(layer, nn.Linear)]
        # The dictionaries themselves: getting them from 159 modules takes 44 us, looking at them 2.
        self._hooks = [
            hooks
            for module in denoiser.modules()
            if not isinstance(module, nn.Linear)
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
        ]
        self._quick_blocks = LruCache[tuple[tuple[int, bool, bool], ...], list[_QuickBlock]](max_count=STATES)

    def __call__(
        self, latents: Tensor, t: Tensor, states: Tensor, mask: Tensor | None, layout: Tensor | None = None
    ) -> Tensor:
        """Return the velocity (B, C, h, w) for latents at times t (B,), as `Denoiser.forward` does."""
        moment = t if any(self._hooks) else self._moments.at(t)
        if not isinstance(moment, Moment):
            velocity: Tensor = self._denoiser(latents, t, states, mask, layout)
            return velocity
        height, width = latents.shape[-2:]
        size = height // PATCH, width // PATCH
        tokens = pack(self._denoiser.with_map(latents, layout))
        return unpack(self._velocity(tokens, states, mask, moment, size), height, width)

    def _velocity(
        self, tokens: Tensor, states: Tensor, mask: Tensor | None, moment: Moment, size: tuple[int, int]
    ) -> Tensor:
        """Return the velocity of each token, as `Transformer.forward` does."""
        transformer = self._transformer
        text: Tensor = transformer.txt_in(transformer.txt_norm(states))
        image: Tensor = transformer.img_in(tokens)
        if mask is not None:
            mask = functional.pad(mask, (0, image.shape[1]), value=True)[:, None, None, :]
        rotation = rotations(transformer.rope_axes, *size, text.shape[1], image.device)
        for block, (of_image, of_text) in zip(self._current_blocks(), moment.blocks, strict=True):
            text, image = block(text, image, mask, of_image, of_text, rotation)
        velocity: Tensor = transformer.proj_out(transformer.norm_out(image, moment))
        return velocity

    def _current_blocks(self) -> Sequence[_QuickBlock]:
        """Return the quick form of each block, made anew when weights move or LoRAs change."""
        state = tuple(
            (layer.weight.data_ptr(), is_plain(layer), have_hooks((layer,))) for layer in self._layers
        )
        return self._quick_blocks.get_or_make(state, self._make_quick_blocks)

    def _make_quick_blocks(self) -> list[_QuickBlock]:
        last = len(self._blocks) - 1
        return [_quick_block(block, last=index == last) for index, block in enumerate(self._blocks)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """Image or text in a block."""

    qkv: Product
    """(B, tokens, D) to queries, keys and values (B, tokens, 3 D)."""
    out: Product
    widen: Product
    narrow: Product
    norms: tuple[Tensor, Tensor]
    """Weights (W) of the norms of queries and keys."""

    def finish(self, x: Tensor, attended: Tensor, modulation: Modulation) -> Tensor:
        """Return x (B, tokens, D) with the output of attention and of its feed-forward layers added."""
        x = torch.addcmul(x, modulation.gate, self.out(attended))
        changed = self.narrow(gelu(self.widen(_norm(x, modulation.shift_2, modulation.scale_2))))
        return torch.addcmul(x, modulation.gate_2, changed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _QuickBlock:
    """The quick form of a `mmdit.Block`."""

    image: _Stream
    text: _Stream
    heads: int
    last: bool

    def __call__(
        self,
        text: Tensor,
        image: Tensor,
        mask: Tensor | None,
        of_image: Modulation,
        of_text: Modulation,
        rotation: Tensor,
    ) -> tuple[Tensor, Tensor]:
        length = text.shape[1]
        together = torch.cat(
            [
                self.text.qkv(_norm(text, of_text.shift, of_text.scale)),
                self.image.qkv(_norm(image, of_image.shift, of_image.scale)),
            ],
            dim=1,
        )
        joint = together.view(*together.shape[:2], 3, self.heads, -1)
        query, key = self._prepare(joint[:, :, :2], length, rotation)
        query, key, value = (part.transpose(1, 2) for part in (query, key, joint[:, :, 2]))
        if self.last:
            query = query[:, :, length:]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2)
        if self.last:
            return text, self.image.finish(image, attended, of_image)
        return (
            self.text.finish(text, attended[:, :length], of_text),
            self.image.finish(image, attended[:, length:], of_image),
        )

    def _prepare(self, pair: Tensor, length: int, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys (B, T, H, W) of `pair` (B, T, 2, H, W), normed and rotated."""
        width = pair.shape[-1]
        norm = torch.linalg.vector_norm(pair, dim=-1, keepdim=True, dtype=torch.float32)
        scaled = (pair * norm.square_().mul_(1.0 / width).add_(EPSILON).rsqrt_()).to(pair.dtype)
        scaled[:, :length].mul_(torch.stack(self.text.norms)[:, None])
        scaled[:, length:].mul_(torch.stack(self.image.norms)[:, None])
        query, key = apply_rotary(scaled.flatten(2, 3), rotation).view_as(scaled).unbind(2)
        return query, key


def _norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Norm x as `mmdit.modulate` does, with one time for all pictures."""
    return torch.layer_norm(x, x.shape[-1:], scale.view(-1), shift.view(-1), EPSILON)


def _quick_block(block: Block, *, last: bool) -> _QuickBlock:
    attention = block.attn
    assert isinstance(attention, JointAttention)
    return _QuickBlock(
        image=_stream(
            attention.of_image, (attention.norm_q, attention.norm_k), attention.to_out[0], block.img_mlp
        ),
        text=_stream(
            attention.of_text,
            (attention.norm_added_q, attention.norm_added_k),
            attention.to_add_out,
            block.txt_mlp,
        ),
        heads=attention.heads,
        last=last,
    )


def _stream(
    qkv: Sequence[nn.Linear], norms: Sequence[nn.RMSNorm], out: nn.Module, mlp: FeedForward
) -> _Stream:
    widen, narrow = mlp.net[0], mlp.net[2]
    assert isinstance(widen, Widening)
    return _Stream(
        qkv=_joined_product(qkv),
        out=_product(out),
        widen=_product(widen.proj),
        narrow=_product(narrow),
        norms=(norms[0].weight, norms[1].weight),
    )


def _product(layer: nn.Module) -> Product:
    assert isinstance(layer, nn.Linear)
    if not is_plain(layer):
        return layer
    return partial(functional.linear, weight=layer.weight, bias=layer.bias)


def _joined_product(layers: Sequence[nn.Linear]) -> Product:
    joined = as_one(layers)
    if joined is not None:
        product = partial(functional.linear, weight=joined[0], bias=joined[1])
        return product if all(map(is_plain, layers)) else partial(_with_side_paths, product, layers)
    products = [_product(layer) for layer in layers]
    return lambda x: torch.cat([product(x) for product in products], dim=2)


def _with_side_paths(product: Product, layers: Sequence[nn.Linear], x: Tensor) -> Tensor:
    """Return the product of all `layers`, with the output of each one's LoRA added."""
    out = product(x)
    for part, layer in zip(out.chunk(len(layers), dim=2), layers, strict=True):
        side = vars(layer).get(SIDE)
        if side is not None:
            side.add_to(part, x)
    return out
