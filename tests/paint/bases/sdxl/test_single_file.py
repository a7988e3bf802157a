"""Single files, and what is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_sdxl import shapes_of, write_tiny_file

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.single_file import check_file


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
        (["double_blocks.0.img_attn.qkv.weight"], "Flux"),
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "Flux"),
        (["joint_blocks.0.x"], "Stable Diffusion 3"),
        (["transformer_blocks.0.img_mod.1.weight"], "Qwen-Image"),
        (["lora_unet_down.lora_down.weight"], "a LoRA; give it with --lora"),
        (["decoder.conv_in.weight"], "an autoencoder alone"),
        (["down_blocks.0.resnets.0.conv1.weight"], "one part of a diffusers folder"),
        (["something.else"], "its first tensor is 'something.else'"),
        ([], "it holds no tensors"),
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
