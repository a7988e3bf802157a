"""A Vignette of the real classes and the real file layout, too small to have learned anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig, with_layout
from allaprima.paint.bases.vignette.layout import CHANNELS as LAYOUT_CHANNELS
from allaprima.paint.bases.vignette.text import TextConfig, TextEncoder, config_json
from allaprima.paint.bases.vignette.text_format import pack_state
from allaprima.paint.bases.vignette.weights import stored

WIDTH = 32
CHANNELS = 4


def write_tiny_vignette(
    folder: Path, *, broken: bool = False, reads_layout: bool = False, seed: int = 0, detail_width: int = 0
) -> Path:
    """Write the three files into `folder` and return it; a broken one computes infinities.

    One that reads layouts hangs on every number of their map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _write_text(folder / "text.safetensors")
        _write_autoencoder(folder / "autoencoder.safetensors", detail_width)
        _write_denoiser(folder / "denoiser.safetensors", broken=broken, reads_layout=reads_layout)
    return folder


def tiny_text_encoder(width: int = WIDTH) -> TextEncoder:
    """Return a text encoder that reads letters, with random weights."""
    letters = "abcdefghijklmnopqrstuvwxyz猫"
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    config = TextConfig(pieces=len(vocabulary), layers=1, width=width, heads=2, hidden=width)
    return TextEncoder(config, tokenizer)


def _write_text(path: Path) -> None:
    encoder = tiny_text_encoder()
    tensors = pack_state(encoder.state_dict())
    tensors["tokenizer"] = torch.frombuffer(bytearray(encoder.tokenizer.to_str().encode()), dtype=torch.uint8)
    save_file(tensors, path, {"config": config_json(encoder.config)})


def _write_autoencoder(path: Path, detail_width: int) -> None:
    config = AutoencoderConfig(
        latent_channels=CHANNELS,
        encoder_widths=(8, 8, 8),
        encoder_depths=(1, 1, 1),
        decoder_widths=(8, 8, 8),
        decoder_depths=(1, 1, 1),
        detail_width=detail_width,
    )
    _save(Autoencoder(config), path)


def _write_denoiser(path: Path, *, broken: bool, reads_layout: bool) -> None:
    config = DenoiserConfig(
        latent_channels=CHANNELS, layers=1, heads=2, head_width=16, text_width=WIDTH, rope_axes=(4, 6, 6)
    )
    denoiser = Denoiser(config)
    if broken:
        torch.nn.init.constant_(denoiser.transformer.proj_out.bias, torch.inf)
    _save(_reader_of(denoiser) if reads_layout else denoiser, path)


def _reader_of(denoiser: Denoiser) -> Denoiser:
    """Return the denoiser with layout channels that matter, and with codes for kinds."""
    known = denoiser.transformer.img_in.in_features
    reader = with_layout(denoiser, LAYOUT_CHANNELS)
    torch.nn.init.normal_(reader.transformer.img_in.weight.data[:, known:], std=0.3)
    assert reader.kind_code is not None
    torch.nn.init.normal_(reader.kind_code.directions)
    return reader


def _save(model: Autoencoder | Denoiser, path: Path) -> None:
    tensors, metadata = stored(model)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def scattered_autoencoder(**shape: Any) -> Autoencoder:
    """Return an autoencoder whose every weight matters: new ones have blocks that do nothing."""
    model = Autoencoder(AutoencoderConfig(latent_channels=4, **shape)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    model.whiten.mean += 0.5
    model.whiten.deviation *= 2.0
    return model.requires_grad_(False)
