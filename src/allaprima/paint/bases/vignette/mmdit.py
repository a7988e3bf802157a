"""Qwen-Image's dual-stream transformer in plain torch, with the names and numbers of diffusers' class.

Weights, LoRA keys and outputs are those of `QwenImageTransformer2DModel` (a test holds both against each other), so
either reads what the other wrote. Ours leaves out what costs a small model on a processor more than its arithmetic:
three seconds of imports, complex rotary products, and the last block's text, which nothing reads.

Source: Qwen-Image technical report (arXiv 2508.02324), section 2.4; Stable Diffusion 3 (arXiv 2403.03206), figure 2b.

Shape letters: B pictures, N image tokens, L text tokens, D width, H heads, W width of a head.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6
TIME_WIDTH = 256
THETA = 10000.0

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, each (tokens, W / 2)."""


class Transformer(nn.Module):
    """The velocity of packed noisy latents."""

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        layers: int,
        heads: int,
        head_width: int,
        text_width: int,
        rope_axes: tuple[int, int, int],
    ) -> None:
        super().__init__()
        width = heads * head_width
        self.rope_axes = rope_axes
        self.time_text_embed = TimeEmbedding(width)
        self.txt_norm = nn.RMSNorm(text_width, eps=EPSILON)
        self.img_in = nn.Linear(in_channels, width)
        self.txt_in = nn.Linear(text_width, width)
        self.transformer_blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm_out = OutputNorm(width)
        self.proj_out = nn.Linear(width, out_channels)

    def forward(
        self, tokens: Tensor, states: Tensor, mask: Tensor | None, t: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return the velocity of each image token, (B, N, out_channels).

        Args:
            tokens: (B, N, in_channels) packed latents.
            states: (B, L, text_width) text states.
            mask: (B, L) bool, True where a text token counts; None if all do.
            t: (B,) times in [0, 1].
            size: rows and columns of the tokens, N in all.
        """
        text: Tensor = self.txt_in(self.txt_norm(states))
        image: Tensor = self.img_in(tokens)
        time = functional.silu(self.time_text_embed(t.to(image.dtype)))
        rotation = rotations(self.rope_axes, *size, text.shape[1], image.device)
        if mask is not None:
            mask = functional.pad(mask, (0, image.shape[1]), value=True)[:, None, None, :]
        last = len(self.transformer_blocks) - 1
        for index, block in enumerate(self.transformer_blocks):
            text, image = block(text, image, mask, time, rotation, index == last)
        output: Tensor = self.proj_out(self.norm_out(image, time))
        return output


class TimeEmbedding(nn.Module):
    """Sines and cosines of 1000 t (arXiv 2006.11239), then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = nn.ModuleDict(
            {
                "linear_1": nn.Linear(TIME_WIDTH, width),
                "linear_2": nn.Linear(width, width),
            }
        )

    def forward(self, t: Tensor) -> Tensor:
        """Map times (B,) to (B, D)."""
        half = TIME_WIDTH // 2
        exponent = torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(THETA) / half)
        # Rounded to the model's precision before the product, as diffusers has it: 1000 t turns fast.
        angles = 1000.0 * (t[:, None].float() * exponent.exp().to(t.dtype)[None])
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(t.dtype)
        layers = self.timestep_embedder
        embedded: Tensor = layers["linear_2"](functional.silu(layers["linear_1"](waves)))
        return embedded


class OutputNorm(nn.Module):
    """Layer norm whose scale and shift follow the time (adaLN, arXiv 2212.09748)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        """Norm (B, N, D) by the activated time embedding (B, D)."""
        scale, shift = self.linear(time).unsqueeze(1).chunk(2, dim=2)
        return _modulate(image, shift, scale)


class Block(nn.Module):
    """Image and text, each with weights of its own, meet in one attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.img_mod = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.txt_mod = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.attn = JointAttention(width, heads)
        self.img_mlp = FeedForward(width)
        self.txt_mlp = FeedForward(width)

    def forward(
        self,
        text: Tensor,
        image: Tensor,
        mask: Tensor | None,
        time: Tensor,
        rotation: tuple[Rotation, Rotation],
        last: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return text (B, L, D) and image (B, N, D); of the last block's text nothing is read, so it stays.

        `time` is the activated embedding (B, D), `mask` (B, 1, 1, L + N) bool or None, `rotation` of text and image.
        """
        shift, scale, gate, shift_2, scale_2, gate_2 = self.img_mod[1](time).unsqueeze(1).chunk(6, dim=2)
        t_shift, t_scale, t_gate, t_shift_2, t_scale_2, t_gate_2 = (
            self.txt_mod[1](time).unsqueeze(1).chunk(6, dim=2)
        )
        said, seen = self.attn(
            _modulate(text, t_shift, t_scale), _modulate(image, shift, scale), mask, rotation, last
        )
        image = image + gate * seen
        image = image + gate_2 * self.img_mlp(_modulate(image, shift_2, scale_2))
        if not last:
            text = text + t_gate * said
            text = text + t_gate_2 * self.txt_mlp(_modulate(text, t_shift_2, t_scale_2))
        return text, image


class JointAttention(nn.Module):
    """Attention over text and image tokens together, queries and keys normed and rotated."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.to_add_out = nn.Linear(width, width)
        self.norm_q, self.norm_k, self.norm_added_q, self.norm_added_k = (
            nn.RMSNorm(width // heads, eps=EPSILON) for _ in range(4)
        )

    def forward(
        self,
        text: Tensor,
        image: Tensor,
        mask: Tensor | None,
        rotation: tuple[Rotation, Rotation],
        last: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return what text (B, L, D) and image (B, N, D) take from each other; of `last`, the image's alone."""
        of_text, of_image = rotation
        length = text.shape[1]
        key = torch.cat(
            [
                rotate(self.norm_added_k(self._split(self.add_k_proj(text))), of_text),
                rotate(self.norm_k(self._split(self.to_k(image))), of_image),
            ],
            dim=1,
        )
        value = torch.cat([self._split(self.add_v_proj(text)), self._split(self.to_v(image))], dim=1)
        query = rotate(self.norm_q(self._split(self.to_q(image))), of_image)
        if not last:
            asked = rotate(self.norm_added_q(self._split(self.add_q_proj(text))), of_text)
            query = torch.cat([asked, query], dim=1)
        found = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), attn_mask=mask
        )
        joint = found.transpose(1, 2).flatten(2)
        if last:
            return text, self.to_out[0](joint)
        return self.to_add_out(joint[:, :length]), self.to_out[0](joint[:, length:])

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1)


class FeedForward(nn.Module):
    """Two layers with GELU between them, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([Widening(width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, tokens, D) to the same shape."""
        widen, _, narrow = self.net
        output: Tensor = narrow(widen(x))
        return output


class Widening(nn.Module):
    """A layer to four times the width, then GELU in its tanh form."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, tokens, D) to (B, tokens, 4 D)."""
        return functional.gelu(self.proj(x), approximate="tanh")


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, functional.layer_norm(x, x.shape[-1:], eps=EPSILON), 1 + scale)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn neighbouring pairs of x (B, tokens, H, W) by their token's angles (RoPE, arXiv 2104.09864)."""
    cosine, sine = (part[:, None] for part in rotation)
    even, odd = x.float().reshape(*x.shape[:3], -1, 2).unbind(4)
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=4)
    return turned.flatten(3).to(x.dtype)


@lru_cache(maxsize=64)
def rotations(
    axes: tuple[int, int, int], rows: int, columns: int, length: int, device: torch.device
) -> tuple[Rotation, Rotation]:
    """Angles of `length` text tokens and of rows x columns image tokens.

    An image's rows and columns count from its middle, and text goes on along the diagonal past its edge
    (Qwen-Image's MSRoPE), so a picture of another size keeps the angles near its middle.
    """
    with torch.inference_mode(False):  # what is kept must also serve a training
        row = torch.arange(rows) - (rows - rows // 2)
        column = torch.arange(columns) - (columns - columns // 2)
        image = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), row, column)
        text = (torch.arange(length) + max(rows // 2, columns // 2))[:, None].expand(length, 3)
        return _turn(text, axes, device), _turn(image, axes, device)


def _turn(positions: Tensor, axes: tuple[int, int, int], device: torch.device) -> Rotation:
    """Angles of positions (tokens, 3): each axis turns its own dimensions at falling speeds."""
    angles = torch.cat(
        [
            torch.outer(
                positions[:, axis].float(), 1.0 / THETA ** (torch.arange(0, width, 2).float() / width)
            )
            for axis, width in enumerate(axes)
        ],
        dim=1,
    ).to(device)
    return angles.cos(), angles.sin()
