"""The text encoders and the vocabulary that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tests.tiny_sdxl import WIDTH, edit_json

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.text import weigh
from allaprima.paint.pipeline.prompt_cache import join_prompts


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


def test_pieces_lie_behind_each_other_and_the_first_gives_the_pooled_vector(folder: Path) -> None:
    base = load_sdxl(folder)
    both = base.encode_text(["a cat BREAK a dog"])
    cat, dog = (base.encode_text([part]) for part in ("a cat", "a dog"))
    assert torch.equal(both.states, torch.cat([cat.states, dog.states], dim=1))
    assert both.pooled is not None
    assert cat.pooled is not None
    assert torch.equal(both.pooled, cat.pooled)
    long = base.encode_text(["x" * 75 + "y", "a cat"])
    assert long.lengths == (154, 77)
    assert torch.equal(long.states[1, :77], cat.states[0])


def test_weights_multiply_each_encoders_states_and_keep_their_mean(folder: Path) -> None:
    base = load_sdxl(folder)
    plain, weighted = (base.encode_text([prompt]) for prompt in ("a cat", "a (cat:1.5)"))
    factors = torch.ones(77, 1)
    factors[2:5] = 1.5  # behind the mark and the a, a token for each letter
    for half in (slice(0, WIDTH), slice(WIDTH, None)):
        states = plain.states[0, :, half]
        expected = states * factors
        expected *= states.mean() / expected.mean()
        torch.testing.assert_close(weighted.states[0, :, half], expected)
    assert weighted.pooled is not None
    assert plain.pooled is not None
    assert torch.equal(weighted.pooled, plain.pooled)


def test_weights_of_one_and_letters_that_are_brackets_change_nothing(folder: Path) -> None:
    base = load_sdxl(folder)
    same = base.encode_text(["a (cat:1.0) on [((roof:1.0):1.1)]", "a cat on roof"])
    assert torch.allclose(same.states[0], same.states[1])
    escaped, plain = (base.text.encode([prompt]).states for prompt in (r"a \(cat\)", "a (cat)"))
    assert not torch.equal(escaped, plain)
    zero = weigh(torch.ones(2, 3), (0.0, 0.0))
    assert torch.equal(zero, torch.zeros(2, 3))


def test_a_long_prompt_beside_a_short_one_predicts_what_each_does_alone(folder: Path) -> None:
    base = load_sdxl(folder)
    words = ["x" * 100 + " (cat:1.3)", "a dog"]
    texts = [base.encode_text([prompt]) for prompt in words]
    latents, t = base.noise([1, 2], 64, 64), torch.tensor([500.0, 300.0])
    with torch.no_grad():
        together = base.predict(latents, t, base.encode_text(words))
        joined = base.predict(latents, t, join_prompts(texts))
        alone = [base.predict(latents[[row]], t[[row]], texts[row]) for row in (0, 1)]
    assert torch.equal(together, joined)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_what_is_honoured_gives_no_remark_and_what_is_not_does(folder: Path) -> None:
    base = load_sdxl(folder)
    request = GenerationRequest(
        prompt="(w:1.2) BREAK " + "w" * 200, width=64, height=64, guidance=1.0, base=base.name
    )
    assert base.remarks(request) == ()
    (remark,) = base.remarks(replace(request, prompt="a [cat:dog:0.5]"))
    assert "'[cat:dog:0.5]', which this base reads as letters" in remark
    (remark,) = base.remarks(replace(request, prompt="w" * 2400 + " balloon"))
    assert "does nothing: 'balloon'" in remark
