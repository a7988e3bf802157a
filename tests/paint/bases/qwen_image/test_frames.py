from __future__ import annotations

import torch
from diffusers import QwenImagePipeline

from allaprima.paint.bases.qwen_image.base import QwenImageBase, unpack


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
