"""Z-Image as ComfyUI keeps it: how the file of each part is known."""

from __future__ import annotations

from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.parts import PartFile, find_first_prefix
from allaprima.paint.bases.files.shared_parts import find_autoencoder, find_qwen3, qwen3_width

PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.")
LATENT_CHANNELS = 16


def find_transformer(header: FileHeader) -> str | None:
    """Return the prefix of a transformer of Z-Image that looks at no pictures; Lumina 2 has no token for padding."""
    prefix = find_first_prefix(header, PREFIXES, "cap_pad_token", "x_pad_token", "cap_embedder.1.weight")
    return None if prefix is None or header.starts_with(f"{prefix}siglip_") else prefix


def find_vae(header: FileHeader) -> str | None:
    """Return the prefix of FLUX.1's autoencoder, which Z-Image decodes with."""
    prefix = find_autoencoder(header, LATENT_CHANNELS)
    if prefix is None or header.starts_with(f"{prefix}quant_conv.", f"{prefix}post_quant_conv."):
        return None
    return prefix


def _text_fits(main: FileHeader, part: FileHeader) -> bool:
    """Return whether the encoder writes text as wide as the transformer reads it: 2560."""
    prefix, of_text = find_transformer(main), find_qwen3(part)
    assert prefix is not None
    assert of_text is not None
    return main.shape(f"{prefix}cap_embedder.1.weight")[1:] == (qwen3_width(part, of_text),)


PARTS = (
    PartFile(part="transformer", name="Z-Image's transformer", find_prefix=find_transformer),
    PartFile(
        part="text_encoder",
        name="Qwen3 4B",
        find_prefix=find_qwen3,
        published="qwen_3_4b.safetensors of Comfy-Org/z_image_turbo",
        fits=_text_fits,
    ),
    PartFile(
        part="vae",
        name="FLUX.1's autoencoder",
        find_prefix=find_vae,
        published="ae.safetensors of Comfy-Org/z_image_turbo",
        # Stable Diffusion 3's looks the same and is scaled otherwise.
        passes_for=lambda name: "sd3" not in name.lower(),
    ),
)
"""The first is what a base is named by."""
