"""The denoiser: Qwen-Image's own packing, padding that does not matter, and that it learns."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline

from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig, pack, unpack, with_layout

TINY = DenoiserConfig(latent_channels=4, layers=2, heads=2, head_width=16, text_width=8, rope_axes=(4, 6, 6))


def test_packing_is_the_pipelines() -> None:
    latents = torch.randn(2, 4, 6, 8)
    theirs = QwenImagePipeline._pack_latents(latents[:, None], 2, 4, 6, 8)
    assert torch.equal(pack(latents), theirs)
    assert torch.equal(unpack(pack(latents), 6, 8), latents)


def test_a_new_denoiser_predicts_nothing() -> None:
    model = Denoiser(TINY)
    model.begin()
    out = model(torch.randn(2, 4, 4, 4), torch.rand(2), torch.randn(2, 3, 8))
    assert out.shape == (2, 4, 4, 4)
    assert not out.any()


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Denoiser(TINY).eval()
    latents, t, states = torch.randn(1, 4, 4, 4), torch.tensor([0.5]), torch.randn(1, 3, 8)
    padded = torch.cat([states, torch.randn(1, 4, 8)], 1)
    mask = torch.arange(7)[None] < 3
    with torch.inference_mode():
        plain, masked = model(latents, t, states), model(latents, t, padded, mask)
    assert torch.allclose(plain, masked, atol=1e-5)


def test_text_and_time_are_heard() -> None:
    torch.manual_seed(0)
    model = Denoiser(TINY).eval()
    latents, states = torch.randn(1, 4, 4, 4), torch.randn(2, 3, 8)
    with torch.inference_mode():
        one = model(latents, torch.tensor([0.5]), states[:1])
        assert not torch.allclose(one, model(latents, torch.tensor([0.5]), states[1:]), atol=1e-4)
        assert not torch.allclose(one, model(latents, torch.tensor([0.9]), states[:1]), atol=1e-4)


def test_it_learns_one_velocity() -> None:
    torch.manual_seed(0)
    model = Denoiser(TINY)
    model.begin()
    latents, states, target = torch.randn(4, 4, 4, 4), torch.randn(4, 3, 8), torch.randn(4, 4, 4, 4)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(80):
        loss = (model(latents, torch.full((4,), 0.5), states) - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4


def test_a_layout_may_be_told_and_nothing_changes_where_it_is_not() -> None:
    torch.manual_seed(0)
    plain = Denoiser(TINY).eval()
    told = with_layout(plain, 6).eval()
    x, t, states = torch.randn(2, 4, 8, 8), torch.tensor([0.2, 0.9]), torch.randn(2, 3, 8)
    layout = torch.randn(2, 6, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(told(x, t, states), plain(x, t, states))
        torch.testing.assert_close(told(x, t, states, layout=layout), plain(x, t, states))
        told.transformer.img_in.weight[:, 16:].normal_()
        assert not torch.allclose(told(x, t, states, layout=layout), plain(x, t, states), atol=1e-3)
        torch.testing.assert_close(told(x, t, states), plain(x, t, states))
    with pytest.raises(ValueError, match="expected none yet"):
        with_layout(told, 6)
