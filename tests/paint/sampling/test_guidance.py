from __future__ import annotations

import torch
from tests.tiny import SteadyBase, colour_of

from allaprima.paint.sampling.guidance import guide, guided


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
