"""Vignette's text encoder: a prompt in English or Chinese becomes one 384-channel state per token.

    encoder = TextEncoder.from_file(path)
    text = encoder.encode(["a cat on a rooftop", "海滩上的猫"])  # states (2, 8, 384)

It is multilingual-e5-small (an XLM-R encoder), with its vocabulary cut to the pieces that English and Chinese use and
its upper layers removed; the rest was trained by :mod:`allaprima.lab.training.text`. The layers are BERT's
(normalisation after the sum), written out here so that painting needs no `transformers`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.vignette.half_linear import HalfLinear
from allaprima.paint.bases.vignette.text_format import unpack_state
from allaprima.paint.contract.base import TextStates

PADDING = 1
"""The id of `<pad>`, as in XLM-R; `<s>` is 0, `</s>` 2, `<unk>` 3."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The shape of a :class:`TextEncoder`."""

    pieces: int
    """The number of pieces in the vocabulary, special ones included."""
    layers: int = 6
    width: int = 384
    heads: int = 12
    hidden: int = 1536
    """The width inside the feed-forward part of a layer."""
    max_tokens: int = 48
    """Longer prompts lose their end; `<s>` and `</s>` count."""
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        if self.width % self.heads:
            raise ValueError(
                f"got width {self.width} with {self.heads} heads; the width must be divisible by the heads"
            )
        if min(self.pieces, self.layers, self.hidden) < 1 or self.max_tokens < 2:
            raise ValueError(f"got {self}; expected positive sizes and room for the two special tokens")


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward part, each added to its input and normalised."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = HalfLinear(config.width, 3 * config.width)
        self.out = HalfLinear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.up = HalfLinear(config.width, config.hidden)
        self.down = HalfLinear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.epsilon)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Map (B, L, D) to (B, L, D); `mask` (B, 1, 1, L) is True where a token counts, or None if all do."""
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        x = self.attention_norm(x + self.out(mixed))
        out: torch.Tensor = self.norm(x + self.down(functional.gelu(self.up(x))))
        return out


class TextEncoder(nn.Module):
    """Tokenizer and transformer, with random weights until a state is loaded; see :meth:`from_file`."""

    def __init__(self, config: TextConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        if tokenizer.get_vocab_size() != config.pieces:
            raise ValueError(
                f"got a tokenizer of {tokenizer.get_vocab_size()} pieces; expected {config.pieces}"
            )
        self.config = config
        self.tokenizer = tokenizer
        self.words: nn.Module = _embedding(config.pieces, config.width)
        self.positions = _embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Load the encoder that `lab.training.text_student.write_text_encoder` wrote, in eval mode."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            config = TextConfig(**json.loads(metadata["config"]))
            tokenizer = Tokenizer.from_buffer(stored.pop("tokenizer").numpy().tobytes())
            encoder = cls.blank(config, tokenizer)
            encoder.load_state_dict(unpack_state(stored), assign=True)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path} is not a Vignette text encoder ({error}); "
                "expected the text.safetensors that ships with allaprima"
            ) from error
        return encoder.eval().requires_grad_(False)

    @classmethod
    def blank(cls, config: TextConfig, tokenizer: Tokenizer) -> Self:
        """Build the modules without memory for their weights, which `load_state_dict(assign=True)` gives them."""
        with torch.device("meta"):
            return cls(config, tokenizer)

    def tokenize(self, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (B, L) int64, padded to the longest prompt, and mask (B, L) bool."""
        limit = self.config.max_tokens
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(prompts))]
        rows = [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in rows]
        length = max(len(ids) for ids in rows)
        ids = torch.tensor([ids + [PADDING] * (length - len(ids)) for ids in rows])
        mask = torch.arange(length) < torch.tensor([[len(ids)] for ids in rows])
        device = self.positions.weight.device
        return ids.to(device), mask.to(device)

    def unread(self, prompt: str) -> str:
        """Return the end of `prompt` that is cut."""
        encoding, limit = self.tokenizer.encode(prompt), self.config.max_tokens
        return prompt[encoding.offsets[limit - 1][0] :] if len(encoding.ids) > limit else ""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return token states (B, L, D) for ids (B, L); `mask` (B, L) bool is None when nothing is padding."""
        x = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        allowed = None if mask is None else mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, allowed)
        states: torch.Tensor = x
        return states

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Encode one or more prompts, in English or Chinese, "" included.

        Prompts are cut at `config.max_tokens` tokens without a warning.
        """
        if not prompts:
            raise ValueError("got no prompts; expected at least one, which may be empty")
        ids, mask = self.tokenize(prompts)
        with torch.inference_mode():
            states = self(ids, None if bool(mask.all()) else mask)
        return TextStates(
            states=states.clone(), mask=mask
        )  # a copy, for a trainer may not save inference tensors


def _embedding(rows: int, width: int) -> nn.Embedding:
    """Return a table of small random vectors.

    They are uniform, since `normal_`, which `nn.Embedding` uses, takes a second and a half of imports on the meta
    device.
    """
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width).uniform_(-0.05, 0.05))


def config_json(config: TextConfig) -> str:
    """Return `config` as the JSON text in a weight file's metadata."""
    return json.dumps(asdict(config), sort_keys=True)
