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

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.weights import load_qwen_image

CONFUSED = {"num_layers": "two", "dim_mult": [], "text_config": {"hidden_size": "wide"}}
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


def empty(part: Path) -> None:
    shutil.rmtree(part)
    part.mkdir()


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
    "no words": (lambda f: (f / "tokenizer" / "tokenizer.json").unlink(), "tokenizer holds no vocabulary; expected"),
    "an empty tokenizer": (
        lambda f: empty(f / "tokenizer"), "tokenizer holds no vocabulary; expected",
    ),
    "shards that are no names": (
        lambda f: (f / "vae" / "x.safetensors.index.json").write_text('{"weight_map": {"a": [1]}}'),
        "x.safetensors.index.json names no files beside it",
    ),
    "one size to draw a line through": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", base_image_seq_len=8192),
        "got 8192 as base_image_seq_len and as max_image_seq_len; expected two",
    ),
    "an end that is the beginning": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", shift_terminal=1.0),
        "got a shift_terminal of 1.0; expected 0 or more, below 1",
    ),
    "a mean for all channels": (
        lambda f: edit(f / "vae" / "config.json", latents_mean=[0.0]),
        "vae cannot be followed: got latents_mean [0.0]; expected 4 numbers",
    ),
    "no deviation": (
        lambda f: edit(f / "vae" / "config.json", latents_std=[0, 1, 1, 1]), "expected 4 numbers above 0",
    ),
    "a width in words": (
        lambda f: edit(f / "transformer" / "config.json", num_layers="two"), "transformer cannot be read",
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


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_an_outline_that_cannot_be_drawn_is_told(part: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "qwen"))
    edit(folder / part / "config.json", **CONFUSED)
    with pytest.raises(WeightsError, match=f"{part} cannot be read") as caught:
        load_qwen_image(folder, absent=("text", "predict", "decode"))
    assert "\n" not in str(caught.value)


def test_a_scheduler_may_leave_settings_out(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "qwen"))
    edit(folder / "scheduler" / "scheduler_config.json", shift=None, shift_terminal=None)
    flow = load_qwen_image(folder).flow
    assert (flow.shift, flow.shift_terminal) == (1.0, None)


def test_noise_levels_that_do_not_fall_are_told(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "qwen"))
    edit(folder / "scheduler" / "scheduler_config.json", max_shift=1e6)
    with pytest.raises(
        RequestError, match="got 4 steps of 4096x4096 pixels, for which no noise levels follow"
    ):
        load_qwen_image(folder).schedule(4, 4096, 4096)


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
