"""SDXL's two text encoders: the states of both side by side, and a pooled vector from the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from allaprima.paint.contract.base import TextStates


@dataclass(frozen=True, kw_only=True)
class SdxlText:
    """Two tokenizers and two encoders."""

    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    zero_empty: bool
    """Whether zeros stand for the empty prompt (`force_zeros_for_empty_prompt`)."""

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return states (B, 77, D1 + D2), all of them valid, and pooled (B, P); longer prompts are cut.

        Each prompt goes through the encoders by itself, so its states do not depend on the others.
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
            encoder(self._ids(prompt, tokenizer), output_hidden_states=True)
            for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
        )
        # The last layer but one; the last was trained to match whole pictures (arXiv:2307.01952, section 2.1).
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)[0]
        return states, second.text_embeds[0]

    def _zeros(self) -> tuple[Tensor, Tensor]:
        width = sum(encoder.config.hidden_size for encoder in self.encoders)
        projection = self.encoders[1].text_projection.weight
        return projection.new_zeros(self.length, width), projection.new_zeros(len(projection))

    @property
    def length(self) -> int:
        """The tokens of every prompt, padding included."""
        return int(self.encoders[1].config.max_position_embeddings)

    def unread(self, prompt: str) -> str:
        """Return the end of `prompt` that does not fit between the two special tokens."""
        tokens = self.tokenizers[0](prompt, return_offsets_mapping=True, add_special_tokens=False)
        offsets = tokens["offset_mapping"]
        room = self.length - 2
        return prompt[offsets[room][0] :] if len(offsets) > room else ""

    def _ids(self, prompt: str, tokenizer: CLIPTokenizer) -> Tensor:
        padded = tokenizer(prompt, padding="max_length", max_length=self.length, truncation=True)
        return torch.tensor([padded["input_ids"]], device=self.encoders[1].device)
