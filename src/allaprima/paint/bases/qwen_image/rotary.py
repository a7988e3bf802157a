"""Rotary positions for text and picture in one table, made once per size.

Stock diffusers rotates the queries and keys of text and picture apart, four times a block, and makes the tables anew
at each step. Here they are joined first and rotated twice, with a cached table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope
from torch import Tensor, nn


class JointRotary(nn.Module):
    """A transformer's `pos_embed` that returns one table, for the text and then the picture."""

    def __init__(self, stock: QwenEmbedRope) -> None:
        super().__init__()
        self.stock = stock
        self._table = lru_cache(maxsize=16)(self._make_table)

    def forward(
        self, video_fhw: Any, device: torch.device | None = None, max_txt_seq_len: Any = None
    ) -> Tensor:
        """Return (L, 1, D/2, 2) cosines and sines of the L = text + picture tokens.

        Args:
            video_fhw: one (frames, height, width) in patches, or a list that begins with it, as in diffusers.
            device: the device of the table.
            max_txt_seq_len: tokens of the text.
        """
        while isinstance(video_fhw, list):
            video_fhw = video_fhw[0]
        return self._table(tuple(video_fhw), int(max_txt_seq_len), device)

    def _make_table(self, fhw: tuple[int, int, int], text_tokens: int, device: torch.device | None) -> Tensor:
        picture, text = self.stock([fhw], max_txt_seq_len=text_tokens, device=device)
        # Outside inference mode, so that a table made while painting also serves while training.
        with torch.inference_mode(mode=False):
            return torch.view_as_real(torch.cat([text, picture])).clone()[:, None]


class RotaryJointAttention:
    """The attention of a double-stream block, with `JointRotary`'s table as `image_rotary_emb`."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        image_rotary_emb: Tensor,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the attention's output for picture (B, N, D) and text (B, L, D), without any mask."""
        assert encoder_hidden_states_mask is None
        assert attention_mask is None
        text, picture = encoder_hidden_states, hidden_states
        heads = (-1, attn.inner_dim // attn.heads)
        query = _join(attn.norm_added_q, attn.add_q_proj(text), attn.norm_q, attn.to_q(picture), heads)
        key = _join(attn.norm_added_k, attn.add_k_proj(text), attn.norm_k, attn.to_k(picture), heads)
        value = _split(torch.cat([attn.add_v_proj(text), attn.to_v(picture)], dim=1), heads)
        attended = dispatch_attention_fn(
            apply_rotary(query, image_rotary_emb),
            apply_rotary(key, image_rotary_emb),
            value,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        ).flatten(2)
        length = text.shape[1]
        to_picture: Tensor = attn.to_out[0](attended[:, length:].contiguous())
        to_text: Tensor = attn.to_add_out(attended[:, :length].contiguous())
        return to_picture, to_text


def apply_rotary(x: Tensor, table: Tensor) -> Tensor:
    """Rotate pairs of (B, L, H, D) by the angles of (L, 1, D/2, 2), in float32."""
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)
    if not torch.compiler.is_compiling():
        # One pass over memory; real arithmetic takes six, which only a compiler fuses.
        rotated = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table))
    else:
        (a, b), (cos, sin) = pairs.unbind(-1), table.unbind(-1)
        rotated = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
    return rotated.flatten(-2).type_as(x)


def join_rotary(transformer: nn.Module) -> None:
    """Give `transformer`, a `QwenImageTransformer2DModel`, the table and the attention of this module."""
    blocks: Any = transformer.transformer_blocks
    for block in blocks:
        block.attn.set_processor(RotaryJointAttention())
    transformer.pos_embed = JointRotary(transformer.pos_embed)


def _join(
    norm_text: nn.Module, text: Tensor, norm_picture: nn.Module, picture: Tensor, heads: tuple[int, int]
) -> Tensor:
    """Return text, then picture, split into heads, each with its own norm."""
    return torch.cat([norm_text(_split(text, heads)), norm_picture(_split(picture, heads))], dim=1)


def _split(x: Tensor, heads: tuple[int, int]) -> Tensor:
    return x.view(*x.shape[:-1], *heads)
