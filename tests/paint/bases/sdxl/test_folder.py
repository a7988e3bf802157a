"""Folders that are whole, and those that are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from tests.tiny_sdxl import edit_json

from allaprima.core.errors import WeightsError
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
