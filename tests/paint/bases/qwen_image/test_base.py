from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import QwenImagePipeline

from allaprima.core.errors import RequestError
from allaprima.paint.bases.qwen_image.base import QwenImageBase, pack, unpack
from allaprima.paint.contract.base import Base
from allaprima.paint.painter import Painter


def test_it_is_a_base_named_without_the_way_to_it(base: QwenImageBase, checkpoint: Path) -> None:
    assert isinstance(base, Base)
    assert base.name == checkpoint.name
    assert list(base.modules()) == ["transformer"]


def test_it_says_what_its_latents_and_text_look_like(base: QwenImageBase) -> None:
    assert base.text_widths == (base.encode_text(["a cat"]).states.shape[2], None)
    assert base.noise([1], 64, 64).shape[3] * base.stride == 64


def test_packing_is_that_of_diffusers_and_comes_undone() -> None:
    cells = torch.randn(2, 3, 8, 12)
    packed = pack(cells)
    expected = QwenImagePipeline._pack_latents(cells, 2, 3, 8, 12)
    assert torch.equal(packed.permute(0, 2, 3, 1).flatten(1, 2), expected)
    assert packed.permute(0, 2, 3, 1).is_contiguous()
    assert torch.equal(unpack(packed), cells)


def test_noise_belongs_to_its_seed(base: QwenImageBase) -> None:
    together = base.noise([3, 4], 64, 32)
    assert together.shape == (2, 16, 2, 4)
    assert torch.equal(together[1:], base.noise([4], 64, 32))


@torch.inference_mode()
def test_rows_of_every_length_are_predicted_as_if_alone(base: QwenImageBase) -> None:
    prompts = ["a cat", "a very long cat", "a dog", "a cat"]
    text = base.encode_text(prompts)
    latents, times = base.noise([1, 2, 3, 4], 32, 32), torch.tensor([0.9, 0.5, 0.5, 0.1])
    together = base.predict(latents, times, text)
    for row, prompt in enumerate(prompts):
        one = slice(row, row + 1)
        alone = base.predict(latents[one], times[one], base.encode_text([prompt]))
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=0)


def test_sizes_and_schedules_that_are_not_there_are_told(base: QwenImageBase) -> None:
    with pytest.raises(
        RequestError, match="got size 1000x1024; expected sides that are multiples of 16, such as 992x1024"
    ):
        base.check_size(1000, 1024)
    with pytest.raises(RequestError, match="such as 16x16"):
        base.check_size(1, 16)
    with pytest.raises(
        RequestError, match="got the schedule 'karras'; expected lightning or adaptive-cosine"
    ):
        base.schedule(4, 64, 64, "karras")
    assert base.schedule(4, 1024, 1024) != base.schedule(4, 512, 512)
    assert base.schedule(4, 1024, 1024, "lightning") == base.schedule(4, 512, 512, "lightning")


def test_the_base_says_what_nobody_asked_for(base: QwenImageBase) -> None:
    painter = Painter(base=base)
    request = painter.request(prompt="a cat", seed=3)
    assert (request.base, request.width, request.steps, request.guidance) == (base.name, 1024, 50, 4.0)
    fast = painter.request(prompt="a cat", schedule="lightning")
    assert (fast.steps, fast.guidance, fast.schedule) == (4, 1.0, "lightning")
    assert painter.request(prompt="a cat", schedule="lightning", steps=8).steps == 8
    assert replace(request, steps=8) == painter.request(prompt="a cat", seed=3, steps=8)
