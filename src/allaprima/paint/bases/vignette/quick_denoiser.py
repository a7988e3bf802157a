"""The denoiser as a processor runs it quickest: a third of so small a model's time goes to calling its layers.

The same numbers but for rounding, by fewer and larger operations. What depends only on the time is computed once;
queries, keys and values come of one product where their weights lie side by side; and layers that wear nothing are
called as bare functions. A LoRA that is folded into the weights is in them; a layer that wears one beside them, or a
hook, is asked itself. A hook on anything larger is heard by the plain way alone, so then that is taken.

Shape letters: B pictures, N image tokens, L text tokens, T = L + N, D width, H heads, W width of a head.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    gelu,
    rotations,
    turn,
)
from allaprima.paint.bases.vignette.moments import STATES, Moments
from allaprima.paint.bases.vignette.weight_marks import SIDE, is_plain

Product = Callable[[Tensor], Tensor]


class QuickDenoiser:
    """A denoiser's answer, by the quick way where there is one: while painting on a processor at one time for all.

    Args:
        denoiser: as loaded.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._transformer = denoiser.transformer
        self._moments = Moments(denoiser.transformer)
        self._blocks = [block for block in self._transformer.transformer_blocks if isinstance(block, Block)]
        self._layers = [layer for layer in self._transformer.modules() if isinstance(layer, nn.Linear)]
        # The dictionaries themselves: asking 159 modules for them takes 44 us, looking at them 2.
        self._hooks = [
            hooks
            for module in denoiser.modules()
            if not isinstance(module, nn.Linear)
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
        ]
        self._ways: OrderedDict[tuple[tuple[int, bool], ...], list[_Way]] = OrderedDict()

    def __call__(self, latents: Tensor, t: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `Denoiser.forward`: the velocity (B, C, h, w) for latents at times t (B,)."""
        moment = t if any(self._hooks) else self._moments.at(t)
        if not isinstance(moment, Moment):
            velocity: Tensor = self._denoiser(latents, t, states, mask)
            return velocity
        height, width = latents.shape[-2:]
        size = height // PATCH, width // PATCH
        return unpack(self._velocity(pack(latents), states, mask, moment, size), height, width)

    def _velocity(
        self, tokens: Tensor, states: Tensor, mask: Tensor | None, moment: Moment, size: tuple[int, int]
    ) -> Tensor:
        """As `Transformer.forward`."""
        whole = self._transformer
        text: Tensor = whole.txt_in(whole.txt_norm(states))
        image: Tensor = whole.img_in(tokens)
        if mask is not None:
            mask = functional.pad(mask, (0, image.shape[1]), value=True)[:, None, None, :]
        rotation = rotations(whole.rope_axes, *size, text.shape[1], image.device)
        for way, (of_image, of_text) in zip(self._ways_now(), moment.blocks, strict=True):
            text, image = way(text, image, mask, of_image, of_text, rotation)
        velocity: Tensor = whole.proj_out(whole.norm_out(image, moment))
        return velocity

    def _ways_now(self) -> Sequence[_Way]:
        """Return the way through each block, found anew when weights moved or a layer wears something else."""
        state = tuple((layer.weight.data_ptr(), is_plain(layer)) for layer in self._layers)
        if state not in self._ways:
            last = len(self._blocks) - 1
            self._ways[state] = [_way(block, last=index == last) for index, block in enumerate(self._blocks)]
            if len(self._ways) > STATES:
                self._ways.popitem(last=False)
        self._ways.move_to_end(state)
        return self._ways[state]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """Image or text in a block."""

    three: Product
    """(B, tokens, D) to queries, keys and values (B, tokens, 3 D)."""
    out: Product
    widen: Product
    narrow: Product
    norms: tuple[Tensor, Tensor]
    """Weights (W) of the norms of queries and keys."""

    def leave(self, x: Tensor, seen: Tensor, heard: Modulation) -> Tensor:
        """Return x (B, tokens, D) after what it has `seen` in attention and after its layers of its own."""
        x = torch.addcmul(x, heard.gate, self.out(seen))
        changed = self.narrow(gelu(self.widen(_norm(x, heard.shift_2, heard.scale_2))))
        return torch.addcmul(x, heard.gate_2, changed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """The way through a block; see `mmdit.Block`."""

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
                self.text.three(_norm(text, of_text.shift, of_text.scale)),
                self.image.three(_norm(image, of_image.shift, of_image.scale)),
            ],
            dim=1,
        )
        joint = together.view(*together.shape[:2], 3, self.heads, -1)
        query, key = self._prepare(joint[:, :, :2], length, rotation)
        query, key, value = (part.transpose(1, 2) for part in (query, key, joint[:, :, 2]))
        if self.last:
            query = query[:, :, length:]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = seen.transpose(1, 2).flatten(2)
        if self.last:
            return text, self.image.leave(image, seen, of_image)
        return (
            self.text.leave(text, seen[:, :length], of_text),
            self.image.leave(image, seen[:, length:], of_image),
        )

    def _prepare(self, pair: Tensor, length: int, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys (B, T, H, W) of `pair` (B, T, 2, H, W), normed and turned."""
        width = pair.shape[-1]
        norm = torch.linalg.vector_norm(pair, dim=-1, keepdim=True, dtype=torch.float32)
        scaled = (pair * norm.square_().mul_(1.0 / width).add_(EPSILON).rsqrt_()).to(pair.dtype)
        scaled[:, :length].mul_(torch.stack(self.text.norms)[:, None])
        scaled[:, length:].mul_(torch.stack(self.image.norms)[:, None])
        query, key = turn(scaled.flatten(2, 3), rotation).view_as(scaled).unbind(2)
        return query, key


def _norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """As `mmdit.modulate`, for one time for all pictures."""
    return torch.layer_norm(x, x.shape[-1:], scale.view(-1), shift.view(-1), EPSILON)


def _way(block: Block, *, last: bool) -> _Way:
    attention = block.attn
    assert isinstance(attention, JointAttention)
    return _Way(
        image=_stream(
            attention.of_image,
            (attention.norm_q, attention.norm_k),
            attention.to_out[0],
            block.img_mlp,
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
    three: Sequence[nn.Linear], norms: Sequence[nn.RMSNorm], out: nn.Module, mlp: FeedForward
) -> _Stream:
    widen, narrow = mlp.net[0], mlp.net[2]
    assert isinstance(widen, Widening)
    return _Stream(
        three=_three(three),
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


def _three(layers: Sequence[nn.Linear]) -> Product:
    whole = as_one(layers)
    if whole is not None:
        product = partial(functional.linear, weight=whole[0], bias=whole[1])
        return product if all(map(is_plain, layers)) else partial(_with_sides, product, layers)
    products = [_product(layer) for layer in layers]
    return lambda x: torch.cat([product(x) for product in products], dim=2)


def _with_sides(product: Product, layers: Sequence[nn.Linear], x: Tensor) -> Tensor:
    """The product of all `layers`, and beside it what each one's LoRA adds."""
    out = product(x)
    for part, layer in zip(out.chunk(len(layers), dim=2), layers, strict=True):
        side = vars(layer).get(SIDE)
        if side is not None:
            side.add_to(part, x)
    return out
