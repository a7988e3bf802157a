"""Qwen3 as a text encoder: the states of some of its layers for a prompt inside its chat template.

    text = Qwen3Reader(encoder=encoder, tokenizer=tokenizer, layers=(9, 18, 27), pads=True, answer=NO_THOUGHTS)
    text.encode(["a cat on a rooftop", ""])

FLUX.2 klein and Z-Image read prompts so; they differ in the layers, and in whether padding is part of what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.diffusers_parts import load_network, outline_network, read_part
from allaprima.paint.contract.base import TextStates

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer, Qwen3Model

QUESTION = "<|im_start|>user\n"
ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
"""What Qwen3's chat template puts around a prompt that begins a conversation."""
NO_THOUGHTS = ANSWER + "<think>\n\n</think>\n\n"
"""The same for an answer without thinking."""
MAX_TOKENS = 512
"""Tokens that are read, those of the template among them."""

ENCODERS = ("Qwen3ForCausalLM", "Qwen3Model")
TOKENIZERS = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_HEAD = ("lm_head.weight",)


@dataclass(frozen=True, kw_only=True)
class Qwen3Reader:
    """Encoder and tokenizer."""

    encoder: Qwen3Model
    """Its layers up to the last that is read."""
    tokenizer: Qwen2Tokenizer
    layers: tuple[int, ...]
    """After how many layers the states are taken; those of several stand side by side."""
    answer: str = ANSWER
    """What follows the prompt."""
    pads: bool = False
    """Whether every prompt is padded to 512 tokens, all of which the denoiser reads, as it was trained."""

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return the states (B, L, D) of the prompts; each is encoded by itself, so none depends on the others."""
        encoded = {prompt: self._encode(prompt) for prompt in dict.fromkeys(prompts)}
        rows = [encoded[prompt] for prompt in prompts]
        states = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)
        return TextStates(states=states, mask=mask)

    def unread(self, prompt: str) -> str:
        """Return the end of `prompt` that is beyond the tokens that are read."""
        tokens = self.tokenizer(QUESTION + prompt, return_offsets_mapping=True)
        offsets = tokens["offset_mapping"][MAX_TOKENS:]
        return prompt[offsets[0][0] - len(QUESTION) :] if offsets else ""

    @torch.no_grad()
    def _encode(self, prompt: str) -> Tensor:
        tokens = self.tokenizer(
            QUESTION + prompt + self.answer,
            padding="max_length" if self.pads else False,
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(self.encoder.device)
        output = self.encoder(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        )
        return torch.cat([output.hidden_states[layer] for layer in self.layers], dim=-1)[0]


def load_qwen3(part: Path, dtype: torch.dtype, *, layers: int, absent: bool) -> Qwen3Model:
    """Load the first `layers` layers of the language model in the folder `part`, without its head.

    Args:
        part: with config.json and weights, of the model with its head or without.
        dtype: what it computes in.
        layers: how many are needed; a negative number leaves out so many.
        absent: make the network alone, without its weights.

    Raises:
        WeightsError: the weights cannot be read, or there are fewer layers.
    """
    from transformers import Qwen3Model

    encoder: Qwen3Model = (
        outline_network(Qwen3Model, part, dtype)
        if absent
        else load_network(Qwen3Model, part, dtype, unused=_HEAD)
    )
    _shorten(part, encoder, layers)
    return encoder


def read_tokenizer(part: Path) -> Qwen2Tokenizer:
    """Return the tokenizer in the folder `part`."""
    from transformers import Qwen2Tokenizer

    read: Qwen2Tokenizer = read_part(
        part, lambda path: Qwen2Tokenizer.from_pretrained(path, local_files_only=True)
    )
    return read


def _shorten(part: Path, encoder: Any, layers: int) -> None:
    """Leave out the layers that nothing reads, and the norm behind the last, which the states are taken before."""
    total = len(encoder.layers)
    kept = layers if layers > 0 else total + layers
    if not 0 < kept <= total:
        raise WeightsError(f"{part} has {total} layers; expected {kept} or more, as in Qwen3-4B")
    encoder.layers = encoder.layers[:kept]
    encoder.config.num_hidden_layers = kept
    encoder.norm = nn.Identity()
