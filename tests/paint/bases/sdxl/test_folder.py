"""Folders that are whole, and those that are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import edit_json

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.sdxl.base import load_sdxl


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "scheduler"])
def test_a_folder_without_a_part(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(WeightsError, match=part):
        load_sdxl(copy)


def test_a_folder_with_a_part_of_another_class(copy: Path) -> None:
    edit_json(copy / "model_index.json", unet=["diffusers", "FluxTransformer2DModel"])
    with pytest.raises(
        WeightsError, match="'FluxTransformer2DModel' for unet; expected UNet2DConditionModel"
    ):
        load_sdxl(copy)


def test_a_folder_of_another_pipeline(copy: Path) -> None:
    edit_json(copy / "model_index.json", _class_name="StableDiffusionPipeline")
    with pytest.raises(
        WeightsError, match="is a StableDiffusionPipeline; expected a StableDiffusionXLPipeline"
    ):
        load_sdxl(copy)


@pytest.mark.parametrize("name", ["Img2Img", "Inpaint", "ControlNet"])
def test_a_folder_that_another_pipeline_over_the_same_parts_saved(copy: Path, name: str) -> None:
    edit_json(copy / "model_index.json", _class_name=f"StableDiffusionXL{name}Pipeline")
    assert locate(str(copy)).family == "sdxl"
    assert load_sdxl(copy).prediction == "epsilon"


@pytest.mark.parametrize("size", [{}, {"sample_size": None}])
def test_a_unet_that_leaves_the_size_open_paints_sdxls_own(copy: Path, size: dict[str, Any]) -> None:
    path = copy / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["sample_size"]
    path.write_text(json.dumps({**config, **size}), encoding="utf-8")
    assert load_sdxl(copy).defaults.width == 1024


@pytest.mark.parametrize(
    "file", ["unet/diffusion_pytorch_model.safetensors", "unet/config.json", "tokenizer/tokenizer.json"]
)
def test_a_pointer_of_git_lfs_is_named(copy: Path, file: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5135149760\n"
    (copy / file).write_text(pointer, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"is a pointer of git-lfs .*git lfs pull"):
        load_sdxl(copy)


def test_the_index_names_the_scheduler_whatever_its_file_was_copied_from(copy: Path) -> None:
    edit_json(copy / "model_index.json", scheduler=["diffusers", "EulerAncestralDiscreteScheduler"])
    assert load_sdxl(copy).schedule(2, 64, 64).sampler == "ancestral"
    edit_json(copy / "model_index.json", scheduler=["diffusers", "TheirOwnScheduler"])
    base = load_sdxl(copy)
    assert base.schedule(2, 64, 64, "karras").sampler == "euler"
    with pytest.raises(RequestError, match="'TheirOwnScheduler', which is not painted with"):
        base.schedule(2, 64, 64)


@pytest.mark.parametrize("ending", ["scale_weight", "weight_scale"])
def test_scaled_fp8_weights_count_with_their_scales(copy: Path, ending: str) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    plain = load_file(file)
    stored = dict(plain)
    for name in [name for name in plain if name.endswith("to_q.weight")]:
        scale = plain[name].abs().max() / 448
        stored[name] = (plain[name] / scale).to(torch.float8_e4m3fn)
        stored[f"{name.removesuffix('.weight')}.{ending}"] = scale
    save_file({**stored, "scaled_fp8": torch.zeros(0)}, file)
    ours = load_sdxl(copy, dtype=torch.float32).unet.state_dict()
    for name, weight in plain.items():
        assert (ours[name] - weight).abs().max() <= 0.07 * weight.abs().max()
    save_file({**plain, f"conv_in.{ending}": torch.ones(3)}, file)
    with pytest.raises(WeightsError, match="goes with no weight; expected fp8 weights"):
        load_sdxl(copy)


def test_the_older_form_of_a_tokenizer(folder: Path, copy: Path) -> None:
    for part in ("tokenizer", "tokenizer_2"):
        whole = copy / part / "tokenizer.json"
        words = json.loads(whole.read_text(encoding="utf-8"))["model"]["vocab"]
        whole.unlink()
        (copy / part / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
        (copy / part / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    old, new = (load_sdxl(path).encode_text(["a cat"]).states for path in (copy, folder))
    assert torch.equal(old, new)


# numpy asks torch for a copy in a way that diffusers' schedulers do not answer yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_a_shard_index_is_followed(copy: Path, folder: Path) -> None:
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(str(copy), local_files_only=True)
    shutil.rmtree(copy / "unet")
    pipeline.unet.save_pretrained(copy / "unet", max_shard_size="1MB")
    assert len(list((copy / "unet").glob("*.safetensors"))) > 1
    ours_sharded, ours_whole = load_sdxl(copy).unet.state_dict(), load_sdxl(folder).unet.state_dict()
    assert all(torch.equal(weight, ours_sharded[name]) for name, weight in ours_whole.items())


def test_counters_that_a_trainer_left_are_no_weights(copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "ema_step": torch.tensor(3), "decay": torch.tensor(0.5)}, file)
    assert load_sdxl(copy, dtype=torch.float32).unet.conv_in.weight.equal(tensors["conv_in.weight"])
    save_file({**tensors, "extra": torch.ones(3)}, file)
    with pytest.raises(WeightsError, match="unet has extra; expected"):
        load_sdxl(copy)


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "is empty"), (b"<!DOCTYPE html><html>", "is a web page"), (b"{}", "is JSON")]
)
def test_what_was_fetched_instead_of_weights_is_named(copy: Path, content: bytes, told: str) -> None:
    (copy / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=f"{told}; expected a whole safetensors file"):
        load_sdxl(copy)
