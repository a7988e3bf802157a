from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.tiny_qwen3 import chat_tokenizer, text_encoder

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.qwen3 import NO_THOUGHTS, Qwen3Reader, load_qwen3
from allaprima.paint.bases.qwen_tokenizer import qwen3_tokenizer


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    part = tmp_path_factory.mktemp("qwen3") / "text_encoder"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text_encoder(len(chat_tokenizer()), layers=4).save_pretrained(part)
    return part


def reader(part: Path, *, pads: bool) -> Qwen3Reader:
    encoder = load_qwen3(part, torch.float32, layers=3, absent=False)
    return Qwen3Reader(
        encoder=encoder, tokenizer=chat_tokenizer(), layers=(1, 3), answer=NO_THOUGHTS, pads=pads
    )


def test_prompts_are_read_alone_and_once(part: Path) -> None:
    text = reader(part, pads=False)
    reads: list[int] = []
    hook = text.encoder.register_forward_hook(lambda *_: reads.append(1))
    both = text.encode(["a cat", "一只很大很大的猫", "a cat"])
    assert len(reads) == 2
    hook.remove()
    alone = text.encode(["a cat"])
    assert torch.equal(alone.states[0], both.states[0, : alone.states.shape[1]])
    assert both.lengths == (alone.states.shape[1], both.states.shape[1], alone.states.shape[1])
    assert alone.states.shape[2] == 2 * text.encoder.config.hidden_size


def test_padding_is_read_where_the_model_was_trained_so(part: Path) -> None:
    text = reader(part, pads=True)
    states = text.encode(["a cat", ""])
    assert states.lengths == (512, 512)
    assert bool(states.mask.all())
    # The model looks back alone, so the words' own states are those without padding.
    short = reader(part, pads=False).encode(["a cat"]).states
    torch.testing.assert_close(states.states[:1, : short.shape[1]], short, atol=1e-5, rtol=0)


def test_what_is_beyond_the_tokens_that_are_read_is_told(part: Path) -> None:
    text = reader(part, pads=True)
    room = 512 - len(chat_tokenizer()("<|im_start|>user\n").input_ids)
    assert text.unread("x" * room) == ""
    assert text.unread("x" * room + "and a dog") == "and a dog"


def test_layers_that_nothing_reads_are_not_kept(part: Path) -> None:
    assert len(load_qwen3(part, torch.float32, layers=-1, absent=False).layers) == 3
    hollow = load_qwen3(part, torch.bfloat16, layers=2, absent=True)
    assert len(hollow.layers) == 2
    assert all(weight.is_meta and weight.dtype == torch.bfloat16 for weight in hollow.parameters())
    with pytest.raises(WeightsError, match="has 4 layers; expected 27 or more"):
        load_qwen3(part, torch.float32, layers=27, absent=False)


def test_a_model_with_a_head_of_its_own_is_read_without_it(part: Path, tmp_path: Path) -> None:
    whole = text_encoder(len(chat_tokenizer()), layers=2)
    whole.config.tie_word_embeddings = False
    whole.lm_head.weight = torch.nn.Parameter(torch.ones_like(whole.lm_head.weight))
    whole.save_pretrained(tmp_path / "whole")
    assert len(load_qwen3(tmp_path / "whole", torch.float32, layers=2, absent=False).layers) == 2
    shutil.copy(part / "config.json", tmp_path / "whole")
    with pytest.raises(WeightsError, match="lacks: "):
        load_qwen3(tmp_path / "whole", torch.float32, layers=2, absent=False)


def test_the_tokenizer_that_ships_knows_the_marks_of_the_template() -> None:
    tokenizer = qwen3_tokenizer()
    tokens = tokenizer(f"<|im_start|>user\na cat{NO_THOUGHTS}")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(tokens) == [
        "<|im_start|>", "user", "Ċ", "a", "Ġcat", "<|im_end|>", "Ċ", "<|im_start|>", "assistant", "Ċ", "<think>",
        "ĊĊ", "</think>", "ĊĊ",
    ]  # fmt: skip
