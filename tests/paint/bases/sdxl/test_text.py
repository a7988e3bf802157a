"""The text encoders and the vocabulary that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tests.tiny_sdxl import WIDTH, edit_json

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.sdxl.base import load_sdxl


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


def test_what_is_beyond_the_last_token_is_said(folder: Path) -> None:
    base = load_sdxl(folder)
    request = GenerationRequest(
        prompt=" ".join(["w"] * 75), width=64, height=64, guidance=1.0, base=base.name
    )
    assert base.remarks(request) == ()
    (remark,) = base.remarks(replace(request, prompt=f"{request.prompt} a balloon"))
    assert "does nothing: 'a balloon'" in remark
