"""SDXL's two text encoders: the states of both side by side, and a pooled vector from the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from allaprima.paint.bases.base import TextStates


@dataclass(frozen=True, kw_only=True)
class SdxlText:
    """Two tokenizers and two encoders."""

    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    zero_empty: bool
    """Zeros stand for the empty prompt (`force_zeros_for_empty_prompt`)."""

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return states (B, 77, D1 + D2), all of them valid, and pooled (B, P); longer prompts are cut.

        Each prompt takes its own way through the encoders, so its states do not depend on its company.
        """
        if not prompts:
            raise ValueError("got no prompts; expected at least one, which may be empty")
        encoded = {prompt: self._encode(prompt) for prompt in dict.fromkeys(prompts)}
        rows = [encoded[prompt] for prompt in prompts]
        states = torch.stack([row for row, _ in rows])
        mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return TextStates(states=states, mask=mask, pooled=torch.stack([row for _, row in rows]))

    def _encode(self, prompt: str) -> tuple[Tensor, Tensor]:
        if self.zero_empty and not prompt:
            return self._zeros()
        first, second = (
            encoder(_ids(tokenizer, prompt, encoder), output_hidden_states=True)
            for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
        )
        # The last layer but one, for the last was trained to match pictures as a whole (arXiv:2307.01952, 2.1).
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)[0]
        return states, second.text_embeds[0]

    def _zeros(self) -> tuple[Tensor, Tensor]:
        first, second = self.encoders[0].config, self.encoders[1].config
        like = self.encoders[1].text_projection.weight
        states = like.new_zeros(second.max_position_embeddings, first.hidden_size + second.hidden_size)
        return states, like.new_zeros(second.projection_dim)


def _ids(
    tokenizer: CLIPTokenizer, prompt: str, encoder: CLIPTextModel | CLIPTextModelWithProjection
) -> Tensor:
    length = encoder.config.max_position_embeddings
    rows = tokenizer(prompt, padding="max_length", max_length=length, truncation=True)["input_ids"]
    return torch.tensor([rows], device=encoder.device)
