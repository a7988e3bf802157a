"""The discriminator hears the prompt."""

from __future__ import annotations

import torch
from tests.lab.distill.known import (
    batch_of,
    words,
)

from allaprima.lab.distill.discriminator import Discriminator


def test_heads_hear_the_prompt_by_projection() -> None:
    heads = Discriminator([4], 4, hidden=16)
    batch = batch_of()
    spoken = words(batch.text)
    with torch.no_grad():
        none, once, twice = (heads([batch.pictures()], share * spoken)[0] for share in (0.0, 1.0, 2.0))
    assert ((once - none).abs() > 1e-3).all()
    assert torch.allclose(twice - once, once - none, atol=1e-4)
