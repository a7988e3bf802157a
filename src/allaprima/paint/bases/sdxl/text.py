"""SDXL's two text encoders: the states of both side by side, and a pooled vector from the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from allaprima.paint.bases.sdxl.prompt_pieces import Piece, cut_into_pieces, find_unread
from allaprima.paint.contract.base import TextStates


@dataclass(frozen=True, kw_only=True)
class SdxlText:
    """Two tokenizers and two encoders."""

    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    zero_empty: bool
    """Whether zeros stand for the empty prompt (`force_zeros_for_empty_prompt`)."""

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return states (B, L, D1 + D2) and pooled (B, P); L is 77 for each piece of the longest prompt.

        Each piece of a prompt goes through the encoders by itself, so its states depend on nothing else.
        """
        if not prompts:
            raise ValueError("got no prompts; expected at least one, which may be empty")
        encoded = {prompt: self._encode(prompt) for prompt in dict.fromkeys(prompts)}
        rows = [encoded[prompt] for prompt in prompts]
        states = pad_sequence([row for row, _ in rows], batch_first=True)
        lengths = torch.tensor([len(row) for row, _ in rows])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)
        return TextStates(states=states, mask=mask, pooled=torch.stack([row for _, row in rows]))

    def _encode(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Return the states (L, D1 + D2) of all pieces in a row, and the first piece's pooled vector (P,)."""
        if self.zero_empty and not prompt:
            return self._zeros()
        cut = [cut_into_pieces(prompt, tokenizer, self.length) for tokenizer in self.tokenizers]
        empty = [cut_into_pieces("", tokenizer, self.length)[0] for tokenizer in self.tokenizers]
        # Tokenizers of two vocabularies may need more pieces the one than the other.
        pairs = [(first or empty[0], second or empty[1]) for first, second in zip_longest(*cut)]
        encoded = [self._encode_pieces(*pair) for pair in pairs]
        return torch.cat([states for states, _ in encoded]), encoded[0][1]

    def _encode_pieces(self, *pieces: Piece) -> tuple[Tensor, Tensor]:
        """Return the states (77, D1 + D2) of one piece, as each tokenizer has it, and the pooled vector (P,)."""
        first, second = (
            encoder(torch.tensor([piece.ids], device=encoder.device), output_hidden_states=True)
            for piece, encoder in zip(pieces, self.encoders, strict=True)
        )
        # The last layer but one; the last was trained to match whole pictures (arXiv:2307.01952, section 2.1).
        states = [
            weigh(encoded.hidden_states[-2][0], piece.weights)
            for encoded, piece in zip((first, second), pieces, strict=True)
        ]
        return torch.cat(states, dim=-1), second.text_embeds[0]

    def _zeros(self) -> tuple[Tensor, Tensor]:
        width = sum(encoder.config.hidden_size for encoder in self.encoders)
        projection = self.encoders[1].text_projection.weight
        return projection.new_zeros(self.length, width), projection.new_zeros(len(projection))

    @property
    def length(self) -> int:
        """The tokens of a piece, padding included."""
        return int(self.encoders[1].config.max_position_embeddings)

    def unread(self, prompt: str) -> str:
        """Return the end of `prompt` that is beyond the last piece."""
        return find_unread(prompt, self.tokenizers[0], self.length)


def weigh(states: Tensor, weights: Sequence[float]) -> Tensor:
    """Return `states` (L, D) times a weight for each token, then scaled so that their mean is what it was.

    Source of the rule: `EmphasisOriginal` in `modules.sd_emphasis` of AUTOMATIC1111/stable-diffusion-webui.
    """
    if all(weight == 1.0 for weight in weights):
        return states
    wide = states.float()
    weighted = wide * torch.tensor(weights, device=states.device)[:, None]
    before, after = wide.mean(), weighted.mean()
    return (weighted * torch.where(after == 0, 1.0, before / after)).to(states.dtype)
