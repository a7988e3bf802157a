from __future__ import annotations

import torch

from allaprima.paint.bases.qwen_image.base import QwenImageBase


def test_prompts_are_read_alone_and_once(base: QwenImageBase) -> None:
    reads: list[int] = []
    model = base.text.encoder.model.language_model
    hook = model.register_forward_hook(lambda *_: reads.append(1))
    try:
        both = base.encode_text(["a cat", "一只很大很大的猫", "a cat"])
        assert len(reads) == 2
        alone = base.encode_text(["a cat"])
        assert torch.equal(alone.states[0], both.states[0, : alone.states.shape[1]])
        assert both.lengths == (alone.states.shape[1], both.states.shape[1], alone.states.shape[1])
    finally:
        hook.remove()


def test_the_empty_prompt_is_a_space(base: QwenImageBase) -> None:
    assert torch.equal(base.encode_text([""]).states, base.encode_text([" "]).states)
