"""The autoencoder: shapes, the identity of new blocks, whitening, and that it learns."""

from __future__ import annotations

import pytest
import torch

from allaprima.paint.bases.vignette.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    ResidualBlock,
    Whitening,
    match_channels,
)

TINY = AutoencoderConfig(
    latent_channels=4,
    encoder_widths=(8, 8, 16),
    encoder_depths=(1, 1, 1),
    decoder_widths=(8, 16, 16),
    decoder_depths=(1, 1, 1),
)


def test_a_cell_is_sixteen_pixels_and_back() -> None:
    model = Autoencoder(TINY)
    latents = model.encode(torch.zeros(2, 3, 64, 96))
    assert latents.shape == (2, 4, 4, 6)
    assert model.decode(latents).shape == (2, 3, 64, 96)


def test_sides_must_be_whole_cells() -> None:
    with pytest.raises(ValueError, match="sides must be multiples of 16"):
        Autoencoder(TINY).encode(torch.zeros(1, 3, 60, 64))


def test_a_new_block_is_the_identity() -> None:
    x = torch.randn(1, 8, 5, 5)
    assert torch.equal(ResidualBlock(8)(x), x)


def test_channels_are_averaged_or_repeated() -> None:
    x = torch.arange(4.0)[None, :, None, None]
    assert match_channels(x, 2).flatten().tolist() == [0.5, 2.5]
    assert match_channels(x, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_whitening_is_undone_and_measured_latents_are_white() -> None:
    whiten = Whitening(3)
    x = torch.randn(8, 3, 6, 6) * torch.tensor([1.0, 5.0, 0.2])[:, None, None] + 3
    whiten.mean.copy_(x.mean((0, 2, 3)))
    whiten.deviation.copy_(x.std((0, 2, 3)))
    white = whiten(x)
    assert white.mean((0, 2, 3)).abs().max() < 1e-5
    assert (white.std((0, 2, 3)) - 1).abs().max() < 1e-5
    assert torch.allclose(whiten.inverse(white), x, atol=1e-5)


def test_noise_reaches_the_reconstruction_and_not_the_latents() -> None:
    torch.manual_seed(0)
    model, pixels = Autoencoder(TINY), torch.rand(1, 3, 32, 32)
    clean, latents = model(pixels)
    noisy, same = model(pixels, torch.randn(1, 4, 2, 2))
    assert torch.equal(latents, same)
    assert not torch.equal(clean, noisy)


def test_shrunk_latents_decode_to_a_shrunk_picture() -> None:
    output, latents = Autoencoder(TINY)(torch.rand(2, 3, 64, 64), torch.zeros(2, 4, 2, 2), shrink=2)
    assert output.shape == (2, 3, 32, 32)
    assert latents.shape == (2, 4, 4, 4)


def test_it_learns_to_reconstruct() -> None:
    torch.manual_seed(0)
    model, pixels = Autoencoder(TINY), torch.rand(4, 3, 1, 1).expand(4, 3, 32, 32) * 2 - 1
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = (model(pixels)[0] - pixels).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 10
