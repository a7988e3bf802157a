"""FLUX.2 klein as ComfyUI and Black Forest Labs keep it: how the file of each part is known."""

from __future__ import annotations

from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.parts import PartFile
from allaprima.paint.bases.files.shared_parts import find_autoencoder, find_qwen3, qwen3_width
from allaprima.paint.bases.flux2_klein.traits import TEXT_LAYERS

PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.")
LATENT_CHANNELS = 32


def find_transformer(header: FileHeader) -> str | None:
    """Return the prefix of a transformer of FLUX.2 that is not told the guidance, as FLUX.2 dev is."""
    for prefix in PREFIXES:
        marks = (f"{prefix}double_stream_modulation_img.", f"{prefix}single_stream_modulation.")
        guided = (f"{prefix}guidance_in.", f"{prefix}time_guidance_embed.guidance_embedder.")
        if all(map(header.starts_with, marks)) and not header.starts_with(*guided):
            return prefix
    return None


def find_vae(header: FileHeader) -> str | None:
    """Return the prefix of FLUX.2's autoencoder, which keeps statistics of its latents."""
    prefix = find_autoencoder(header, LATENT_CHANNELS)
    return prefix if prefix is not None and f"{prefix}bn.running_mean" in header.tensors else None


def _text_fits(main: FileHeader, part: FileHeader) -> bool:
    """Return whether the transformer reads three states of the encoder side by side: 7680 wide for the 4B model."""
    prefix, of_text = find_transformer(main), find_qwen3(part)
    assert prefix is not None
    assert of_text is not None
    shapes = (main.shape(f"{prefix}{name}.weight") for name in ("txt_in", "context_embedder"))
    width = next((shape[1] for shape in shapes if len(shape) == 2), 0)
    return width == len(TEXT_LAYERS) * qwen3_width(part, of_text)


PARTS = (
    PartFile(part="transformer", name="FLUX.2 klein's transformer", find_prefix=find_transformer),
    PartFile(
        part="text_encoder",
        name="Qwen3 4B",
        find_prefix=find_qwen3,
        published="qwen_3_4b.safetensors of Comfy-Org/z_image_turbo",
        fits=_text_fits,
    ),
    PartFile(
        part="vae",
        name="FLUX.2's autoencoder",
        find_prefix=find_vae,
        published="flux2-vae.safetensors of Comfy-Org/flux2-dev",
    ),
)
"""The first is what a base is named by."""
