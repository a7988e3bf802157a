from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_qwen import write_tiny_qwen

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.weights import load_qwen_image

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def to_pickle(folder: Path) -> None:
    (folder / TRANSFORMER).unlink()
    torch.save({}, folder / "transformer" / "diffusion_pytorch_model.bin")


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / TRANSFORMER)
    change(tensors)
    save_file(tensors, folder / TRANSFORMER, {"format": "pt"})


def truncate(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "model_index.json cannot be read as JSON"),
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), "holds a list; expected a JSON object"),
    "part not named": (
        lambda f: edit(f / "model_index.json", vae=None), "names 'None' for vae; expected AutoencoderKLQwenImage",
    ),
    "another class": (
        lambda f: edit(f / "model_index.json", transformer=["diffusers", "FluxTransformer2DModel"]),
        "names 'FluxTransformer2DModel' for transformer; expected QwenImageTransformer2DModel",
    ),
    "remote code": (
        lambda f: edit(f / "model_index.json", transformer=["evil", "Evil"]), "names 'Evil' for transformer",
    ),
    "no folder": (lambda f: shutil.rmtree(f / "tokenizer"), "has no folder tokenizer"),
    "no config": (lambda f: (f / "vae" / "config.json").unlink(), "has no config.json"),
    "no weights": (lambda f: (f / TRANSFORMER).unlink(), "holds no weights; expected .safetensors"),
    "a pickle": (to_pickle, "diffusion_pytorch_model.bin is a pickle, which may run any code"),
    "cut short": (lambda f: truncate(f / TRANSFORMER, 5000), "transformer cannot be read"),
    "empty": (lambda f: truncate(f / TRANSFORMER, 0), "transformer cannot be read"),
    "a tensor missing": (
        lambda f: change_tensors(f, lambda t: t.pop("img_in.bias")), "transformer lacks: img_in.bias",
    ),
    "a tensor too much": (
        lambda f: change_tensors(f, lambda t: t.update({"img_in.weight_scale": torch.ones(1)})),
        "transformer has too much: img_in.weight_scale",
    ),
    "another shape": (
        lambda f: change_tensors(f, lambda t: t.update({"img_in.bias": torch.ones(3)})), "transformer",
    ),
    "another scheduler": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", use_karras_sigmas=True),
        "asks for another scheduler",
    ),
    "a scheduler of words": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", max_shift="much"), "settings that are no numbers",
    ),
    "no vocabulary": (
        lambda f: (f / "tokenizer" / "tokenizer.json").write_text("{"), "tokenizer cannot be read",
    ),
    "widths that differ": (
        lambda f: edit(f / "text_encoder" / "config.json", text_config={"hidden_size": 64}), "text_encoder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_loaded_is_told_in_one_sentence(damage: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "qwen"
    shutil.copytree(checkpoint, folder)
    change, told = DAMAGES[damage]
    change(folder)
    with pytest.raises(WeightsError) as caught:
        load_qwen_image(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parts_of_two_models_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "qwen"
    shutil.copytree(checkpoint, folder)
    edit(folder / "transformer" / "config.json", out_channels=2)
    change_tensors(
        folder,
        lambda t: t.update(
            {"proj_out.weight": t["proj_out.weight"][:8], "proj_out.bias": t["proj_out.bias"][:8]}
        ),
    )
    with pytest.raises(WeightsError, match="expected four times as many, as in files of one model"):
        load_qwen_image(folder)


def test_shards_are_read_and_a_missing_one_is_told(base: QwenImageBase, tmp_path: Path) -> None:
    folder = write_tiny_qwen(tmp_path / "qwen", shard="150KB")
    shards = sorted((folder / "transformer").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    loaded = load_qwen_image(folder, name="sharded")
    assert loaded.name == "sharded"
    for (name, ours), whole in zip(
        loaded.transformer.state_dict().items(), base.transformer.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, whole), name
    shards[0].unlink()
    with pytest.raises(WeightsError, match=r"lacks diffusion_pytorch_model-00001-of-.*fetch the model again"):
        load_qwen_image(folder)
