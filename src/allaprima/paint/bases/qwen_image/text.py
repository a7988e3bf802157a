"""Qwen-Image's text encoder: the last states of Qwen2.5-VL for the prompt inside a fixed template.

text = PromptEncoder(encoder=encoder, tokenizer=tokenizer).encode(["a cat on a rooftop", ""])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.utils.rnn import pad_sequence

from allaprima.paint.contract.base import TextStates

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
"""The template of its training (`QwenImagePipeline`)."""

TEMPLATE_TOKENS = 34
"""The tokens before the prompt, whose states are dropped."""

MAX_TOKENS = 512
EMPTY = " "
"""The stand-in for the empty prompt, as in the checkpoints' own examples."""


@dataclass(frozen=True, kw_only=True)
class PromptEncoder:
    """Text encoder and tokenizer."""

    encoder: Qwen2_5_VLForConditionalGeneration
    tokenizer: Qwen2Tokenizer

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return the states (B, L, D) of the prompts; each is encoded by itself, so none depends on the others."""
        encoded = {prompt: self._encode(prompt or EMPTY) for prompt in dict.fromkeys(prompts)}
        rows = [encoded[prompt] for prompt in prompts]
        states = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)
        return TextStates(states=states, mask=mask)

    def unread(self, prompt: str) -> str:
        """Return the end of `prompt` that is beyond what the model was trained to read."""
        tokens = self.tokenizer(TEMPLATE.format(prompt), return_offsets_mapping=True)
        offsets = tokens["offset_mapping"][TEMPLATE_TOKENS + MAX_TOKENS :]
        return prompt[offsets[0][0] - TEMPLATE.index("{}") :] if offsets else ""

    @torch.no_grad()
    def _encode(self, prompt: str) -> torch.Tensor:
        # The model is causal, so these states do not depend on the tokens that are cut.
        tokens = self.tokenizer(
            TEMPLATE.format(prompt),
            max_length=TEMPLATE_TOKENS + MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(self.encoder.device)
        # The language model alone, without its head, a product with 152,064 words that no picture needs.
        output = self.encoder.model.language_model(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, use_cache=False
        )
        states: torch.Tensor = output.last_hidden_state[0, TEMPLATE_TOKENS:]
        return states
