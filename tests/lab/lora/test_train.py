"""From pictures to a LoRA that paints: every family, its metadata, resuming bit for bit, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from tests.lab.lora.tiny import CPU, SIZES, base_of, captioned, train_on
from tests.tiny_files import Layout, make_split_pipeline, write_split
from tests.tiny_qwen import byte_tokenizer
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import UserError
from allaprima.lab.lora.remarks import remarks_on_training
from allaprima.lab.lora.train import LoraSettings, train_lora
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image
from allaprima.paint.lora.files.reader import read_lora


@pytest.mark.parametrize("name", list(SIZES))
def test_a_lora_of_every_family_says_what_it_is_and_fits(name: str, tmp_path: Path) -> None:
    shown = 2 if name in ("vignette", "qwen-image") else 0  # a tiny SDXL takes its time for a sheet
    trained = train_on(name, tmp_path, steps=2, sample_every=shown, targets="all", samples=("a zorp",))
    base = base_of(name, tmp_path / "again")
    lora = read_lora(trained.path, base.modules(), family=base.family)
    assert lora.unmatched == ()
    assert any(update.up.any() for update in lora.updates.values())  # type: ignore[union-attr]
    said = lora.metadata
    assert (said.family, said.trigger_words, said.steps) == (base.family, ("zorp",), None)
    assert said.raw["modelspec.title"] == said.raw["ss_output_name"] == "zorp"
    assert said.raw["ss_num_train_images"] == "3"
    assert said.raw["ss_steps"] == "2"
    assert json.loads(said.raw["ss_tag_frequency"])["zorp"]["a zorp"] == 3
    assert str(tmp_path).encode() not in trained.path.read_bytes()
    assert (trained.sheet is not None) == bool(shown)
    if trained.sheet is not None:
        width, height = SIZES[name]
        with Image.open(trained.sheet) as sheet:  # two seeds side by side, at the start and at the end
            assert sheet.size == (2 * width, 2 * height)


def test_kohyas_layout_is_kohyas(tmp_path: Path) -> None:
    trained = train_on("sdxl", tmp_path, steps=1, sample_every=0, layout="kohya")
    keys = load_file(trained.path).keys()
    assert all(key.startswith("lora_unet_") for key in keys)
    assert "lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight" in keys
    base = base_of("sdxl", tmp_path / "again")
    assert read_lora(trained.path, base.modules(), family=base.family).unmatched == ()
    assert trained.sheet is None


def _train(folder: Path, steps: int, *, resume: bool = False, **others: object) -> dict[str, torch.Tensor]:
    settings = LoraSettings(
        name="zorp", rank=2, batch_size=2, windows=1, steps=steps, sample_every=2, save_every=2
    )
    trained = train_lora(
        base_of("vignette", folder), captioned(folder / "pictures"), replace(settings, **others),  # type: ignore[arg-type]
        target=folder / "zorp.safetensors", folder=folder / "run", weights=folder / "vignette",
        mode="resume" if resume else "new",
    )  # fmt: skip
    return load_file(trained.path)


def test_what_is_gone_on_with_is_bit_for_bit_what_never_stopped(tmp_path: Path) -> None:
    straight = _train(tmp_path / "straight", 7)
    _train(tmp_path / "parts", 3)
    parts = _train(tmp_path / "parts", 7, resume=True)
    assert straight.keys() == parts.keys()
    assert all(torch.equal(straight[key], parts[key]) for key in straight)
    with safe_open(tmp_path / "parts" / "zorp.safetensors", "pt") as file:
        assert file.metadata()["ss_steps"] == "7"


def test_another_training_is_neither_gone_on_with_nor_written_over(tmp_path: Path) -> None:
    before = _train(tmp_path, 2)
    with pytest.raises(UserError, match="holds a training; add --resume"):
        _train(tmp_path, 2)
    with pytest.raises(UserError, match=r"holds a training with other rank \(2, and now 3\)"):
        _train(tmp_path, 4, resume=True, rank=3)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "pictures" / "3.png")
    with pytest.raises(UserError, match="holds a training with other pictures"):
        _train(tmp_path, 4, resume=True)
    after = load_file(tmp_path / "zorp.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_lora_is_gone_on_from_with_its_own_ranks(tmp_path: Path) -> None:
    first = train_on("vignette", tmp_path / "first", steps=3, sample_every=0, rank=3)
    second = train_on(
        "vignette", tmp_path / "second", steps=1, sample_every=0, start=first.path, learning_rate=0.0
    )
    begun, went_on = load_file(first.path), load_file(second.path)
    assert begun.keys() == went_on.keys()
    assert all(torch.allclose(begun[key], went_on[key]) for key in begun)


@pytest.mark.parametrize("layout", ["int8", "Q4_K"])
def test_a_quantised_base_teaches_what_its_numbers_would(layout: Layout, tmp_path: Path) -> None:
    stock = make_split_pipeline()
    quantised = write_split(tmp_path / "quantised", stock, layout)
    plain = write_split(tmp_path / "plain", stock, "fp32")  # of the numbers that the first stands for
    learned = []
    for files in (quantised, plain):
        folder = files["transformer"].parent
        trained = train_lora(
            load_split_qwen_image(files, dtype=torch.float32, tokenizer=byte_tokenizer),
            captioned(folder / "pictures"),
            LoraSettings(name="zorp", rank=2, batch_size=1, steps=2, sample_every=0, size=(64, 64)),
            target=folder / "zorp.safetensors", folder=folder / "run",
        )  # fmt: skip
        learned.append(load_file(trained.path))
    for key, tensor in learned[0].items():
        torch.testing.assert_close(tensor, learned[1][key], rtol=1e-3, atol=1e-5)


def test_a_base_that_paints_by_a_mask_cannot_be_trained(tmp_path: Path) -> None:
    base = load_base(
        str(write_tiny_sdxl(tmp_path / "base", reads_mask=True)), device=CPU, dtype=torch.float32
    )
    with pytest.raises(UserError, match="trained to paint what a mask says"):
        train_lora(
            base, captioned(tmp_path / "pictures"), LoraSettings(name="zorp"),
            target=tmp_path / "zorp.safetensors", folder=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_remarks_say_what_becomes_of_pictures_and_options(tmp_path: Path) -> None:
    base, pictures = base_of("vignette", tmp_path), captioned(tmp_path / "pictures")
    settings = LoraSettings(name="zorp", checkpointing=True)
    assert remarks_on_training(base, pictures.paths, settings) == (
        "3 of 3 pictures are not of the shape 256x256 and are cut around their middle",
        "3 of 3 pictures are smaller than 256x256 and are enlarged",
        "--checkpointing does nothing here: vignette is small enough without it",
    )
    turbo = load_base(str(write_tiny_sdxl(tmp_path / "turbo", "turbo")), device=CPU, dtype=torch.float32)
    (remark,) = remarks_on_training(turbo, pictures.paths, LoraSettings(name="zorp", size=(40, 32)))
    assert "paints in few steps (1), which a LoRA trained on it may unlearn" in remark
