"""An autoencoder too small to learn much."""

from __future__ import annotations

from allaprima.paint.bases.vignette.autoencoder import AutoencoderConfig

TINY = AutoencoderConfig(
    latent_channels=4,
    encoder_widths=(8, 8, 8),
    encoder_depths=(0, 0, 1),
    decoder_widths=(8, 8, 8),
    decoder_depths=(0, 0, 1),
)
