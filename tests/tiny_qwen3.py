"""Qwen3 as a text encoder, of the real class and the real files, with random weights."""

from __future__ import annotations

from tests.tiny_qwen import byte_tokenizer
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

TEXT_WIDTH = 16
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)
"""What Qwen3's chat template makes of a question, without its tools."""


def chat_tokenizer() -> Qwen2Tokenizer:
    """Return Qwen3's tokenizer without any merges: a token per byte."""
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def text_encoder(words: int, layers: int) -> Qwen3ForCausalLM:
    """Return a language model of so many layers, whose head is its table of words, as in Qwen3-4B."""
    config = Qwen3Config(
        vocab_size=words, hidden_size=TEXT_WIDTH, intermediate_size=24, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=1024,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    model.train(mode=False)
    return model
