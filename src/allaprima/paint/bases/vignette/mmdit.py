"""Qwen-Image's dual-stream transformer in plain torch, with the names and numbers of diffusers' class.

Weights, LoRA keys and outputs are those of `QwenImageTransformer2DModel`, which a test compares, so either reads the
other's files. Ours saves what costs a small model on a processor more than its arithmetic: three seconds of imports,
complex rotary products, and the last block's text, which nothing reads.

Source: Qwen-Image technical report (arXiv:2508.02324), section 2.4; Stable Diffusion 3 (arXiv:2403.03206), figure 2b.

Shape letters: B pictures, N image tokens, L text tokens, D width, H heads, W width of a head.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.bases.vignette.joined_linear import lay_side_by_side

EPSILON = 1e-6
TIME_WIDTH = 256
THETA = 10000.0
_GELU_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715 * _GELU_LINEAR
_LINEAR = torch.tensor(_GELU_LINEAR)


class Modulation(NamedTuple):
    """The time's effect on one stream of a block, for attention and feed-forward; (B, 1, D), or (1, 1, D) for all."""

    shift: Tensor
    scale: Tensor
    """One plus the learned value."""
    gate: Tensor
    shift_2: Tensor
    scale_2: Tensor
    gate_2: Tensor


class Moment(NamedTuple):
    """One time's effect on a whole transformer: everything that depends on the time alone."""

    blocks: tuple[tuple[Modulation, Modulation], ...]
    """Those of image and text, by block."""
    shift: Tensor
    """That of the last norm."""
    scale: Tensor
    """One plus the learned value."""


class Transformer(nn.Module):
    """The network for packed noisy latents, whose output is their velocity."""

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
        self, tokens: Tensor, states: Tensor, mask: Tensor | None, t: Tensor | Moment, size: tuple[int, int]
    ) -> Tensor:
        """Return the velocity of each image token, (B, N, out_channels).

        Args:
            tokens: (B, N, in_channels) packed latents.
            states: (B, L, text_width) text states.
            mask: (B, L) bool, True where a text token counts; None if all do.
            t: (B,) times in [0, 1]; or the moment of one time, for all pictures.
            size: rows and columns of the tokens, N in all.
        """
        text: Tensor = self.txt_in(self.txt_norm(states))
        image: Tensor = self.img_in(tokens)
        time = t if isinstance(t, Moment) else self._embed(t.to(image.dtype))
        rotation = rotations(self.rope_axes, *size, text.shape[1], image.device)
        if mask is not None:
            mask = functional.pad(mask, (0, image.shape[1]), value=True)[:, None, None, :]
        last = len(self.transformer_blocks) - 1
        for index, block in enumerate(self.transformer_blocks):
            own_time = time.blocks[index] if isinstance(time, Moment) else time
            text, image = block(text, image, mask, own_time, rotation, index == last)
        output: Tensor = self.proj_out(self.norm_out(image, time))
        return output

    def moment(self, t: Tensor) -> Moment:
        """Return the effect of a time, t (1,) in the number format of the weights."""
        time = self._embed(t)
        shift, scale = self.norm_out.modulation(time)
        blocks = [block for block in self.transformer_blocks if isinstance(block, Block)]
        return Moment(blocks=tuple(block.modulations(time) for block in blocks), shift=shift, scale=scale)

    def lay_side_by_side(self) -> None:
        """Place the weights so that each attention's queries, keys and values are one product while painting."""
        for block in self.transformer_blocks:
            assert isinstance(block, Block)
            lay_side_by_side(block.attn.of_image)
            lay_side_by_side(block.attn.of_text)

    def time_layers(self) -> list[nn.Linear]:
        """Return the layers whose only input is the time."""
        parts = [self.time_text_embed, self.norm_out]
        for block in self.transformer_blocks:
            parts += [block.img_mod, block.txt_mod] if isinstance(block, Block) else []
        return [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear)]

    def _embed(self, t: Tensor) -> Tensor:
        return functional.silu(self.time_text_embed(t))


class TimeEmbedding(nn.Module):
    """Sines and cosines of 1000 t (arXiv:2006.11239), then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = nn.ModuleDict(
            {"linear_1": nn.Linear(TIME_WIDTH, width), "linear_2": nn.Linear(width, width)}
        )

    def forward(self, t: Tensor) -> Tensor:
        """Map times (B,) to (B, D)."""
        half = TIME_WIDTH // 2
        exponent = torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(THETA) / half)
        # Rounded to the model's number format before the product, as in diffusers: 1000 t rotates fast.
        angles = 1000.0 * (t[:, None].float() * exponent.exp().to(t.dtype)[None])
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(t.dtype)
        layers = self.timestep_embedder
        embedded: Tensor = layers["linear_2"](functional.silu(layers["linear_1"](waves)))
        return embedded


class OutputNorm(nn.Module):
    """A layer norm whose scale and shift depend on the time (adaLN, arXiv:2212.09748)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, image: Tensor, time: Tensor | Moment) -> Tensor:
        """Norm (B, N, D) by the activated time embedding (B, D), or by its moment."""
        shift, scale = (time.shift, time.scale) if isinstance(time, Moment) else self.modulation(time)
        return modulate(image, shift, scale)

    def modulation(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and scale (B, 1, D) for the activated time embedding (B, D)."""
        scale, shift = self.linear(time).unsqueeze(1).chunk(2, dim=2)
        return shift, 1 + scale


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
        time: Tensor | tuple[Modulation, Modulation],
        rotation: Tensor,
        last: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return text (B, L, D) and image (B, N, D); the last block's text is not read, so it stays unchanged.

        Args:
            text: (B, L, D).
            image: (B, N, D).
            mask: (B, 1, 1, L + N) bool, or None.
            time: the activated embedding (B, D), or its modulations of image and text.
            rotation: see `rotations`.
            last: whether this is the last block.
        """
        of_image, of_text = self.modulations(time) if isinstance(time, Tensor) else time
        text_out, image_out = self.attn(
            modulate(text, of_text.shift, of_text.scale),
            modulate(image, of_image.shift, of_image.scale),
            mask,
            rotation,
            last,
        )
        image = torch.addcmul(image, of_image.gate, image_out)
        changed = self.img_mlp(modulate(image, of_image.shift_2, of_image.scale_2))
        image = torch.addcmul(image, of_image.gate_2, changed)
        if not last:
            text = torch.addcmul(text, of_text.gate, text_out)
            changed = self.txt_mlp(modulate(text, of_text.shift_2, of_text.scale_2))
            text = torch.addcmul(text, of_text.gate_2, changed)
        return text, image

    def modulations(self, time: Tensor) -> tuple[Modulation, Modulation]:
        """Return the effect of the activated time embedding (B, D) on image and text."""
        return _split_six(self.img_mod[1](time)), _split_six(self.txt_mod[1](time))


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
        self, text: Tensor, image: Tensor, mask: Tensor | None, rotation: Tensor, last: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the output for text (B, L, D) and image (B, N, D); in the `last` block the text stays unchanged."""
        length = text.shape[1]
        query, key, value = self._prepare(text, image, rotation, last)
        attended = self.attend(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), mask)
        joint = attended.transpose(1, 2).flatten(2)
        if last:
            return text, self.to_out[0](joint)
        return self.to_add_out(joint[:, :length]), self.to_out[0](joint[:, length:])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Return the attended values (B, H, tokens, W); a training may replace this method by an equal one."""
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def _prepare(
        self, text: Tensor, image: Tensor, rotation: Tensor, last: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, tokens, H, W) of text, then image; if `last`, without text queries."""
        length = text.shape[1]
        key = torch.cat(
            [
                self.norm_added_k(self._split(self.add_k_proj(text))),
                self.norm_k(self._split(self.to_k(image))),
            ],
            dim=1,
        )
        value = torch.cat([self._split(self.add_v_proj(text)), self._split(self.to_v(image))], dim=1)
        query = self.norm_q(self._split(self.to_q(image)))
        if not last:
            query = torch.cat([self.norm_added_q(self._split(self.add_q_proj(text))), query], dim=1)
        of_query = rotation[length:] if last else rotation
        return apply_rotary(query, of_query), apply_rotary(key, rotation), value

    @property
    def of_image(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        """The layers of the image's queries, keys and values."""
        return self.to_q, self.to_k, self.to_v

    @property
    def of_text(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        """The layers of the text's queries, keys and values."""
        return self.add_q_proj, self.add_k_proj, self.add_v_proj

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
        return gelu(self.proj(x))


def _split_six(modulation: Tensor) -> Modulation:
    shift, scale, gate, shift_2, scale_2, gate_2 = modulation.unsqueeze(1).chunk(6, dim=2)
    return Modulation(shift, 1 + scale, gate, shift_2, 1 + scale_2, gate_2)


def _is_painting() -> bool:
    """Return whether tensors may be overwritten; a compiler gains as much by itself, and cannot trace this."""
    return not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Norm x (B, tokens, D), then scale and shift it, each (B, 1, D) or (1, 1, D)."""
    width = x.shape[-1]
    if len(scale) == 1 and _is_painting():
        return functional.layer_norm(x, (width,), scale.view(width), shift.view(width), EPSILON)
    return torch.addcmul(shift, functional.layer_norm(x, (width,), eps=EPSILON), scale)


def gelu(x: Tensor) -> Tensor:
    """Return GELU in its tanh form; while painting, `x` is overwritten."""
    if not _is_painting() or x.device.type != "cpu" or x.dtype != torch.float32:
        return functional.gelu(x, approximate="tanh")
    # (1 + tanh u) / 2 is the logistic function of 2 u, which takes a processor half the time.
    inner = torch.addcmul(_LINEAR, x, x, value=_GELU_CUBIC)
    return inner.mul_(x).sigmoid_().mul_(x)


def apply_rotary(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbouring pairs of x (B, tokens, H, W) by their token's angles (RoPE, arXiv:2104.09864).

    `rotation` is (tokens, W / 2, 2), cosine and sine.
    """
    pairs = x.float().reshape(*x.shape[:3], -1, 2)
    if _is_painting() and x.device.type == "cpu":
        # Five times as quick as the real products below, which compiled training needs.
        rotated = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(rotation)[:, None])
    else:
        even, odd = pairs.unbind(4)
        cosine, sine = rotation[:, None].unbind(3)
        rotated = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=4)
    return rotated.flatten(3).to(x.dtype)


@lru_cache(maxsize=64)
def rotations(
    axes: tuple[int, int, int], rows: int, columns: int, length: int, device: torch.device
) -> Tensor:
    """Return cosines and sines (tokens, W / 2, 2) of `length` text tokens, then of rows x columns image tokens.

    An image's rows and columns count from its middle, and text continues along the diagonal past its edge
    (Qwen-Image's MSRoPE), so a picture of another size keeps the angles near its middle.
    """
    with torch.inference_mode(False):  # training uses the cached tables too
        row = torch.arange(rows) - (rows - rows // 2)
        column = torch.arange(columns) - (columns - columns // 2)
        image = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), row, column)
        text = (torch.arange(length) + max(rows // 2, columns // 2))[:, None].expand(length, 3)
        return _angles_of(torch.cat([text, image]), axes, device)


def _angles_of(positions: Tensor, axes: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return the rotations of positions (tokens, 3); each axis rotates its own dimensions at falling speeds."""
    angles = torch.cat(
        [
            torch.outer(
                positions[:, axis].float(), 1.0 / THETA ** (torch.arange(0, width, 2).float() / width)
            )
            for axis, width in enumerate(axes)
        ],
        dim=1,
    )
    return torch.stack([angles.cos(), angles.sin()], dim=2).to(device)
