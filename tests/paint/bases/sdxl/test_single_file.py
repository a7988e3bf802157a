"""Single files, and what is taken for one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import shapes_of, write_tiny_file

from allaprima.core.errors import WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.single_file import check_file
from allaprima.paint.painter import Painter


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["cond_stage_model.transformer.a", "model.diffusion_model.a", "first_stage_model.a"],
            "Stable Diffusion 1",
        ),
        (
            ["cond_stage_model.model.a", "model.diffusion_model.a", "first_stage_model.a"],
            "Stable Diffusion 2",
        ),
        (["conditioner.embedders.0.model.a", "model.diffusion_model.a", "first_stage_model.a"], "refiner"),
        (["double_blocks.0.img_attn.qkv.weight"], "FLUX.1"),
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "FLUX.1"),
        (["joint_blocks.0.x"], "Stable Diffusion 3"),
        (["transformer.to_q.lora_A.weight"], "a LoRA"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder alone"),
        (["image_proj.proj.weight"], "an IP-Adapter"),
        (["clip_g", "clip_l"], "an embedding"),
        (
            ["model.diffusion_model.input_blocks.0.x", "model.diffusion_model.middle_block.1.x"],
            "a UNet alone",
        ),
        (["lora_unet_down.lora_down.weight"], "a LoRA"),
        (["decoder.conv_in.weight"], "an autoencoder alone"),
        (["down_blocks.0.resnets.0.conv1.weight"], "one part of a diffusers folder"),
        (["something.else"], "its first tensor is 'something.else'"),
        ([], "a file that holds no tensors"),
    ],
)
def test_a_file_of_another_kind_is_named(names: list[str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(1) for name in names}, file)
    with pytest.raises(WeightsError, match=rf"is no SDXL checkpoint: .*{message}"):
        check_file(file)


def test_a_file_that_lacks_a_part(folder: Path, tmp_path: Path) -> None:
    file = write_tiny_file(tmp_path / "model.safetensors", folder, drop="first_stage_model.")
    with pytest.raises(WeightsError, match="lacks the autoencoder; expected a whole SDXL checkpoint"):
        check_file(file)
    write_tiny_file(file, folder, drop="model.diffusion_model.out.")
    with pytest.raises(
        WeightsError, match=r"the UNet in .* lacks conv_norm_out.bias, conv_norm_out.weight and 2 more"
    ):
        load_sdxl(file, shapes=shapes_of(folder))


def test_a_file_of_other_widths(file: Path) -> None:
    with pytest.raises(WeightsError, match=r"the first text encoder in .* lacks"):
        load_sdxl(file)


def test_a_file_that_says_it_predicts_v(folder: Path, tmp_path: Path) -> None:
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    file = write_tiny_file(tmp_path / "v.safetensors", folder, extra=marks)
    base = load_sdxl(file, shapes=shapes_of(folder))
    assert base.prediction == "v"
    assert base.schedule(2, 64, 64, "trailing").sigmas[0] == pytest.approx(4096, rel=1e-3)


@pytest.mark.parametrize(
    ("marks", "name"), [(("v_pred",), "v-prediction"), (("v_pred", "ztsnr"), "v-prediction-zsnr")]
)
def test_a_schedule_tells_what_a_file_without_marks_predicts(
    file: Path, folder: Path, tmp_path: Path, marks: tuple[str, ...], name: str
) -> None:
    marked = write_tiny_file(
        tmp_path / "v.safetensors", folder, extra={mark: torch.zeros(0) for mark in marks}
    )
    told, silent = (load_sdxl(path, name="xl", shapes=shapes_of(folder)) for path in (marked, file))
    assert silent.prediction == "epsilon"
    expected = told.schedule(5, 64, 64)
    assert replace(silent.schedule(5, 64, 64, name), prediction=None) == expected
    request = GenerationRequest(prompt="a cat", base="xl", width=64, height=64, steps=3, seed=1)
    picture = Painter(base=told).paint(request)
    assert Painter(base=silent).paint(replace(request, schedule=name)).rgb == picture.rgb
    assert Painter(base=silent).paint(request).rgb != picture.rgb


@pytest.mark.parametrize(
    "told",
    [
        {"modelspec.prediction_type": "v"}, {"modelspec.prediction_type": "v_prediction"},
        {"ss_v_parameterization": "True", "ss_zero_terminal_snr": "True"},
    ],
)  # fmt: skip
def test_metadata_that_say_it_predicts_v(
    file: Path, folder: Path, tmp_path: Path, told: dict[str, str]
) -> None:
    save_file(load_file(file), tmp_path / "v.safetensors", told)
    base = load_sdxl(tmp_path / "v.safetensors", shapes=shapes_of(folder))
    assert base.prediction == "v"
    assert (base.schedule(2, 64, 64, "trailing").sigmas[0] > 4000) == ("ss_zero_terminal_snr" in told)


def test_a_file_that_was_trained_on_other_levels(folder: Path, tmp_path: Path) -> None:
    cosxl = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}
    base = load_sdxl(
        write_tiny_file(tmp_path / "cos.safetensors", folder, extra=cosxl), shapes=shapes_of(folder)
    )
    assert base.prediction == "v"
    assert base.schedule(4, 64, 64).sigmas[0] == pytest.approx(120.0)
    assert base.schedule(4, 64, 64).times[0] == pytest.approx(math.log(120.0) / 4)
    playground = {
        "edm_mean": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "edm_std": torch.tensor([1.0, 2.0, 3.0, 4.0]),
    }
    file = write_tiny_file(tmp_path / "play.safetensors", folder, extra=playground)
    base = load_sdxl(file, shapes=shapes_of(folder))
    assert base.schedule(4, 64, 64).sigmas[0] == pytest.approx(80.0)
    assert base.autoencoder.config.latents_std == [1.0, 2.0, 3.0, 4.0]
    assert base.autoencoder.config.scaling_factor == 0.5


def test_the_second_projection_is_found_or_named(file: Path, folder: Path, tmp_path: Path) -> None:
    tensors, name = load_file(file), "conditioner.embedders.1.model.text_projection"
    projection = tensors.pop(name)
    save_file(tensors, tmp_path / "without.safetensors")
    with pytest.raises(WeightsError, match=f"lacks {name}; expected a whole SDXL"):
        load_sdxl(tmp_path / "without.safetensors", shapes=shapes_of(folder))
    save_file({**tensors, f"{name}.weight": projection.T.contiguous()}, tmp_path / "layer.safetensors")
    layer, plain = (
        load_sdxl(path, shapes=shapes_of(folder)) for path in (tmp_path / "layer.safetensors", file)
    )
    assert torch.equal(
        layer.text.encoders[1].text_projection.weight, plain.text.encoders[1].text_projection.weight
    )


def test_pruned_unets_are_read_by_the_names_of_their_blocks(folder: Path, copy: Path, tmp_path: Path) -> None:
    """SSD-1B's shape: fewer transformer blocks, and of the middle one residual layer alone."""
    whole = UNet2DConditionModel.load_config(copy / "unet")
    pruned = UNet2DConditionModel.from_config({
        **whole,
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": [1, [2, 2], [3, 3]],
        "reverse_transformer_layers_per_block": [[3, 3, 5], [2, 1, 1], 1],
    })  # fmt: skip
    pruned.save_pretrained(copy / "unet")
    file = write_tiny_file(tmp_path / "ssd.safetensors", copy)
    base = load_sdxl(file, shapes=shapes_of(folder))
    expected, found = pruned.state_dict(), base.unet.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    again = load_sdxl(copy)
    noise = base.noise([1], 64, 64)
    text = base.encode_text(["a cat"])
    when = torch.tensor([500.0])
    torch.testing.assert_close(base.predict(noise, when, text), again.predict(noise, when, text))


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
@pytest.mark.parametrize("layout", ["published", "diffusers"])
def test_an_autoencoder_named_beside_a_file_that_lacks_one(
    folder: Path, file: Path, tmp_path: Path, prefix: str, layout: str
) -> None:
    published = load_file(file)
    start = "first_stage_model."
    tensors = {
        name.removeprefix(start): tensor for name, tensor in published.items() if name.startswith(start)
    }
    if layout == "diffusers":
        tensors = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    vae = tmp_path / "sdxl_vae.safetensors"
    save_file({f"{prefix}{name}": 2 * tensor for name, tensor in tensors.items()}, vae)
    bare = write_tiny_file(tmp_path / "bare.safetensors", folder, drop=start)
    for path in (bare, file):  # the one named counts, even where there is another
        base = load_sdxl(path, shapes=shapes_of(folder), vae=vae)
        expected = load_sdxl(file, shapes=shapes_of(folder)).autoencoder.state_dict()
        assert all(
            torch.equal(base.autoencoder.state_dict()[name], 2 * part) for name, part in expected.items()
        )
