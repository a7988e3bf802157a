from __future__ import annotations

from collections.abc import Sequence

import torch
from tests.tiny import SteadyBase

from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.contract.wrapper import BaseWrapper


class Darker(BaseWrapper):
    """A whole base: a wrapper with the five methods in which networks compute."""

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        return self._base.encode_text(prompts)

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        return self._base.predict(latents, t, text)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self._base.decode(latents) / 2

    def decode_coarse(self, latents: torch.Tensor) -> torch.Tensor:
        return self._base.decode_coarse(latents) / 2

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._base.encode(2 * pixels)


def test_a_wrapper_forwards_what_it_does_not_change() -> None:
    base = SteadyBase(name="steady")
    wrapper = Darker(base)
    assert isinstance(wrapper, Base)
    names = ("name", "family", "traits", "prediction", "guidance_rule", "defaults", "stride", "text_widths")
    assert wrapper.reads_mask is False
    assert wrapper.has_coarse_decoder is False
    assert wrapper.reads_layout is False
    assert torch.equal(wrapper.latent_mask(torch.ones(1, 1, 64, 128)), torch.ones(1, 1, 8, 16))
    for name in names:
        assert getattr(wrapper, name) == getattr(base, name)
    assert wrapper.schedule(4, 128, 64, "even") == base.schedule(4, 128, 64, "even")
    assert torch.equal(wrapper.noise([7], 128, 64), base.noise([7], 128, 64))
    assert torch.equal(wrapper.decode(torch.ones(1, 3, 8, 8)), base.decode(torch.ones(1, 3, 8, 8)) / 2)
    assert torch.equal(wrapper.decode_coarse(torch.ones(1, 3, 8, 8)), wrapper.decode(torch.ones(1, 3, 8, 8)))
    assert wrapper.is_resident
    assert wrapper.prepacked_bytes(mapped=True) == {}
    assert not wrapper.use_next_plan(list)
    assert str(wrapper.shortage(64, 64)) == str(base.shortage(64, 64))
