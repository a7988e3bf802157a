"""What is refused of any model folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.sdxl.base import load_sdxl


@pytest.mark.parametrize(
    "weight_map", [[1, 2], {"a": ["model.safetensors"]}, {"a": 1}, {}, None, {"a": "../x.safetensors"}]
)
def test_an_index_that_names_no_files(copy: Path, weight_map: object) -> None:
    index = copy / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"index\.json names no files beside it; expected a weight_map"):
        load_sdxl(copy)


@pytest.mark.parametrize("part", ["tokenizer", "tokenizer_2"])
@pytest.mark.parametrize("left", [["tokenizer_config.json"], ["tokenizer_config.json", "vocab.json"], []])
def test_a_tokenizer_without_words(copy: Path, part: str, left: list[str]) -> None:
    words = json.loads((copy / part / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (copy / part / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    for file in (copy / part).iterdir():
        if file.name not in left:
            file.unlink()
    with pytest.raises(
        WeightsError, match=rf"{part} holds no vocabulary; expected tokenizer.json, or vocab.json and merges"
    ):
        load_sdxl(copy)


def test_shards_may_not_lie_elsewhere(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(copy / "outside.safetensors")
    index = {"weight_map": {"conv_in.weight": "../outside.safetensors"}}
    index_file = copy / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index_file.write_text(json.dumps(index), encoding="utf-8")
    (copy / "unet" / "other.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        load_sdxl(copy)
