"""Qwen-Image's reading of a prompt: the last states of Qwen2.5-VL over the prompt inside a fixed template.

reader = PromptReader(encoder=encoder, tokenizer=tokenizer)
text = reader.encode(["a cat on a rooftop", ""])
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.nn.utils.rnn import pad_sequence

from allaprima.paint.bases.base import TextStates

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
"""What the model was trained with (`QwenImagePipeline`)."""

TEMPLATE_TOKENS = 34
"""The tokens before the prompt, whose states are dropped."""

MAX_TOKENS = 512
EMPTY = " "
"""Stands for the empty prompt, as in the checkpoints' own examples."""

CACHED_PROMPTS = 64


@dataclass(frozen=True, kw_only=True)
class PromptReader:
    """Text encoder and tokenizer, and the prompts read last."""

    encoder: Qwen2_5_VLForConditionalGeneration
    tokenizer: Qwen2Tokenizer
    _read: OrderedDict[tuple[str, torch.dtype], torch.Tensor] = field(
        default_factory=OrderedDict, init=False, repr=False
    )

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return the states (B, L, D) of the prompts, each read alone, so that none depends on its company.

        The states of the last 64 prompts are kept.
        """
        rows = [self._states(prompt or EMPTY) for prompt in prompts]
        states = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)
        return TextStates(states=states, mask=mask)

    def forget(self) -> None:
        """Drop the kept states: to be called when the encoder's weights or its device have changed."""
        self._read.clear()

    def _states(self, prompt: str) -> torch.Tensor:
        key = (prompt, self.encoder.dtype)
        if key in self._read:
            self._read.move_to_end(key)
            return self._read[key]
        states = self._read_prompt(prompt)
        self._read[key] = states
        if len(self._read) > CACHED_PROMPTS:
            self._read.popitem(last=False)
        return states

    @torch.no_grad()
    def _read_prompt(self, prompt: str) -> torch.Tensor:
        # A causal model: the states that are kept do not depend on the tokens that are cut.
        tokens = self.tokenizer(
            TEMPLATE.format(prompt),
            max_length=TEMPLATE_TOKENS + MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(self.encoder.device)
        # The language model alone: its head, a product with 152,064 words, serves no picture.
        read = self.encoder.model.language_model(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, use_cache=False
        )
        states: torch.Tensor = read.last_hidden_state[0, TEMPLATE_TOKENS:]
        return states
