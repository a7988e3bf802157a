from __future__ import annotations

import pytest
import torch
from tests.tiny import SteadyBase, colour_of

from allaprima.core.request import GenerationRequest
from allaprima.paint.sampling.guidance import (
    effective_guidance,
    guide,
    guided,
    needs_negative,
    remarks_on_guidance,
)


def test_guidance_is_a_straight_line_through_both() -> None:
    cond, uncond = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0])
    assert torch.equal(guide(cond, uncond, 1.0), cond)
    assert torch.equal(guide(cond, uncond, 0.0), uncond)
    assert torch.equal(guide(cond, uncond, 4.0), torch.tensor([4.0, -1.0]))


def test_both_predictions_come_from_one_pass() -> None:
    base = SteadyBase()
    x, t = torch.zeros(2, 3, 4, 4), torch.ones(2)
    text = base.encode_text(["a", "b", "c", "d"])
    velocity = guided(base, text, 3.0)(x, t)
    assert base.passes == [4]
    for row, (prompt, negative) in enumerate((("a", "c"), ("b", "d"))):
        expected = -(colour_of(negative) + 3 * (colour_of(prompt) - colour_of(negative)))
        torch.testing.assert_close(velocity[row, :, 0, 0], expected)


def test_guidance_of_one_saves_half_the_work() -> None:
    base = SteadyBase()
    guided(base, base.encode_text(["a", "b"]), 1.0)(torch.zeros(2, 3, 4, 4), torch.ones(2))
    assert base.passes == [2]


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_guidance_up_to_one_is_none(scale: float) -> None:
    """As model cards write "no guidance" (0) and diffusers reads it: the prompt is followed, not its absence."""
    base = SteadyBase()
    assert effective_guidance(base, scale, same_text=False) == 1.0
    assert not needs_negative(base, scale)
    assert effective_guidance(SteadyBase(guidance_rule="embedded"), scale, same_text=False) == scale


def test_what_guidance_ignores_is_said() -> None:
    plain, told = SteadyBase(), SteadyBase(guidance_rule="embedded")

    def ask(guidance: float, negative: str = "") -> GenerationRequest:
        return GenerationRequest(prompt="a cat", guidance=guidance, negative_prompt=negative)

    assert [remarks_on_guidance(plain, ask(scale)) for scale in (0.0, 1.0, 4.0)] == [(), (), ()]
    assert remarks_on_guidance(plain, ask(4.0, "rain")) == ()
    assert "guidance 0.5 is none" in remarks_on_guidance(plain, ask(0.5))[0]
    assert remarks_on_guidance(told, ask(0.5)) == ()
    assert remarks_on_guidance(plain, ask(0.0, "rain")) == (
        "the negative prompt does nothing, for there is no guidance",
    )
    assert "the base is told the guidance itself" in remarks_on_guidance(told, ask(4.0, "rain"))[0]
