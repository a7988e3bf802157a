"""The text encoders and the vocabulary that ships."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.tiny_sdxl import WIDTH, edit_json

from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.conditioning import guidance_embedding, size_ids
from allaprima.paint.bases.sdxl.published import clip_tokenizers


def test_states_lie_side_by_side(folder: Path) -> None:
    text = load_sdxl(folder).encode_text(["a cat", "a dog in the rain"])
    assert text.states.shape == (2, 77, 2 * WIDTH)
    assert text.pooled is not None
    assert text.pooled.shape == (2, WIDTH)
    assert bool(text.mask.all())


def test_a_prompt_does_not_depend_on_its_company(folder: Path) -> None:
    together = load_sdxl(folder).encode_text(["a cat", "a dog in the rain"])
    alone = load_sdxl(folder).encode_text(["a dog in the rain"])
    assert torch.equal(together.states[1], alone.states[0])


def test_zeros_stand_for_the_empty_prompt_where_the_checkpoint_says_so(copy: Path) -> None:
    zero = load_sdxl(copy).encode_text([""])
    assert zero.pooled is not None
    assert zero.states.abs().max() == zero.pooled.abs().max() == 0
    edit_json(copy / "model_index.json", force_zeros_for_empty_prompt=False)
    text = load_sdxl(copy).encode_text([""])
    assert text.states.shape == zero.states.shape
    assert text.states.abs().max() > 0


def test_the_empty_prompt_costs_nothing_where_zeros_stand_for_it(folder: Path) -> None:
    base = load_sdxl(folder)
    passes: list[int] = []
    for encoder in base.text.encoders:
        encoder.register_forward_hook(lambda *_: passes.append(1))
    base.encode_text(["a cat", ""])
    assert len(passes) == 2


def test_the_vocabulary_that_ships_is_clips() -> None:
    first, second = clip_tokenizers()
    assert len(first) == 49408
    # The ids that CLIP's own tokenizer is documented with.
    assert first("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert first("Hello, WORLD!")["input_ids"] == [49406, 3306, 267, 1002, 256, 49407]
    assert first("", padding="max_length", max_length=4)["input_ids"] == [49406, 49407, 49407, 49407]
    assert second("", padding="max_length", max_length=4)["input_ids"] == [49406, 49407, 0, 0]


def test_sizes_are_height_first() -> None:
    assert size_ids(2, 96, 64, torch.device("cpu")).tolist() == [[64, 96, 0, 0, 64, 96]] * 2


def test_the_guidance_is_told_in_sines_and_cosines() -> None:
    told = guidance_embedding(1.0, 2, 8, torch.device("cpu"))
    assert told.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2
    assert guidance_embedding(8.0, 1, 9, torch.device("cpu")).shape == (1, 9)
