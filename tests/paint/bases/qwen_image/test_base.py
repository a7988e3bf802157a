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


def test_it_is_a_base_named_as_it_was_asked_for(base: QwenImageBase, checkpoint: Path) -> None:
    assert isinstance(base, Base)
    assert base.name == str(checkpoint)
    assert list(base.modules()) == ["transformer"]


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


@torch.inference_mode()
def test_the_autoencoder_is_that_of_diffusers_tiled_or_not(
    base: QwenImageBase, stock: QwenImagePipeline
) -> None:
    pixels = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (stock.vae.config.latents_mean, stock.vae.config.latents_std)
    )
    expected = (stock.vae.encode(pixels[:, :, None] * 2 - 1).latent_dist.mode() - mean) / deviation
    latents = base.encode(pixels)
    torch.testing.assert_close(unpack(latents), expected[:, :, 0], atol=1e-5, rtol=0)
    for vae in (base.autoencoder, stock.vae):
        vae.enable_tiling(64, 64, 48, 48)
    try:
        tiled = [
            base.decode(latents),
            stock.vae.decode(expected * deviation + mean).sample[:, :, 0] / 2 + 0.5,
        ]
    finally:
        for vae in (base.autoencoder, stock.vae):
            vae.use_tiling = False
    whole = [base.decode(latents), stock.vae.decode(expected * deviation + mean).sample[:, :, 0] / 2 + 0.5]
    for ours, theirs in (tiled, whole):
        torch.testing.assert_close(ours, theirs.clamp(0, 1), atol=1e-5, rtol=0)
    assert not torch.equal(tiled[0], whole[0])


def test_nothing_of_a_video_is_kept(base: QwenImageBase) -> None:
    base.decode(base.noise([1], 32, 32))
    assert base.autoencoder._feat_map is None
    assert not [
        name for name, _ in base.text.encoder.named_parameters() if "visual" in name or "lm_head" in name
    ]


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
