"""What a loaded SDXL is, and the numbers that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import Kind, edit_json, give_scheduler

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.contract.base import Base, Stage


def test_a_loaded_sdxl_is_a_base(folder: Path) -> None:
    base = load_sdxl(folder, name="tiny")
    assert isinstance(base, Base)
    assert (base.name, base.family, base.prediction, base.guidance_rule) == (
        "tiny",
        "sdxl",
        "epsilon",
        "plain",
    )
    assert list(base.modules()) == ["unet", "text_encoder", "text_encoder_2"]
    assert load_sdxl(folder).name == folder.name
    assert not any(weight.is_meta or weight.requires_grad for weight in base.unet.parameters())


def test_it_says_what_its_latents_and_text_look_like(folder: Path) -> None:
    base = load_sdxl(folder)
    text = base.encode_text(["a cat"])
    assert text.pooled is not None
    assert base.text_widths == (text.states.shape[2], text.pooled.shape[1])
    assert base.noise([1], 64, 64).shape[3] * base.stride == 64


def test_defaults_are_those_of_the_scheduler(copy: Path) -> None:
    wanted: dict[Kind, tuple[int, float]] = {"base": (30, 5.0), "turbo": (1, 1.0), "lcm": (4, 1.0)}
    for kind, (steps, guidance) in wanted.items():
        defaults = load_sdxl(give_scheduler(copy, kind)).defaults
        assert defaults == RequestDefaults(width=64, height=64, steps=steps, guidance=guidance)


def test_sizes_are_multiples_of_eight(folder: Path) -> None:
    base = load_sdxl(folder)
    base.check_size(64, 72)
    with pytest.raises(RequestError, match="got size 100x64; expected multiples of 8, such as 96x64"):
        base.check_size(100, 64)


def test_encoding_and_decoding_are_inverse_in_scale(folder: Path) -> None:
    base = load_sdxl(folder)
    pixels = torch.rand(2, 3, 64, 32)
    latents = base.encode(pixels)
    assert latents.shape == (2, 4, 8, 4)
    stock = (
        base.autoencoder.encode(pixels * 2 - 1).latent_dist.mode() * base.autoencoder.config.scaling_factor
    )
    assert torch.allclose(latents, stock, atol=1e-6)
    assert base.decode(latents).shape == pixels.shape


def test_latents_with_a_mean_and_a_deviation(copy: Path) -> None:
    plain = load_sdxl(copy)
    edit_json(
        copy / "vae" / "config.json", latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[2.0, 2.0, 2.0, 2.0]
    )
    shifted = load_sdxl(copy)
    latents = torch.randn(1, 4, 4, 4)
    mean = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1)
    scale = plain.autoencoder.config.scaling_factor
    assert torch.allclose(shifted.decode(latents), plain.decode(2 * latents + mean * scale), atol=1e-5)


def test_a_pooled_text_of_another_width(copy: Path) -> None:
    file = copy / "text_encoder_2" / "model.safetensors"
    tensors = load_file(file)
    tensors["text_projection.weight"] = tensors["text_projection.weight"][:16].contiguous()
    save_file(tensors, file)
    edit_json(copy / "text_encoder_2" / "config.json", projection_dim=16)
    with pytest.raises(
        WeightsError, match=r"reads sizes and pooled text 80 wide and the other parts give 64"
    ):
        load_sdxl(copy)


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("unet", {"sample_size": 0}, "got sample_size 0; expected a whole number from 1 to 512"),
        ("unet", {"sample_size": [8, 8]}, r"got sample_size \[8, 8\]; expected a whole number"),
        ("unet", {"sample_size": 10**9}, "got sample_size 1000000000"),
        ("unet", {"addition_time_embed_dim": "wide"}, "got addition_time_embed_dim 'wide'; expected a whole"),
        ("unet", {"block_out_channels": [-1, 2, 3]}, "unet has a configuration that cannot be built"),
        ("unet", {"norm_num_groups": 0}, "unet has a configuration that cannot be built"),
        ("vae", {"scaling_factor": 0}, "got scaling_factor 0; expected a number above 0"),
        ("vae", {"scaling_factor": "much"}, "got scaling_factor 'much'"),
        (
            "vae",
            {"latents_mean": [0.0], "latents_std": [1.0] * 4},
            r"got latents_mean \[0.0\]; expected 4 numbers",
        ),
        ("vae", {"latents_mean": [0.0] * 4, "latents_std": [0.0] * 4}, "expected 4 numbers above 0"),
        ("text_encoder", {"hidden_size": "wide"}, "text_encoder has a configuration that cannot be built"),
        ("text_encoder", {"num_attention_heads": 0}, "text_encoder has a configuration that cannot be built"),
    ],
)
@pytest.mark.parametrize("absent", [(), ("text", "predict", "decode")], ids=["whole", "outlined"])
def test_configurations_that_cannot_be_followed(
    copy: Path, part: str, changes: dict[str, Any], told: str, absent: tuple[Stage, ...]
) -> None:
    edit_json(copy / part / "config.json", **changes)
    with pytest.raises(WeightsError, match=told) as caught:
        load_sdxl(copy, absent=absent)
    assert "\n" not in str(caught.value)
