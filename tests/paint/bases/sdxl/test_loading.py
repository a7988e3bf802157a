"""Checkpoints that are whole, and all the ways in which they may not be."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import Kind, edit_json, give_scheduler, shapes_of, write_tiny_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.sdxl import published
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.parts import refuse_pickle
from allaprima.paint.bases.sdxl.single_file import check_file
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
    assert load_sdxl(folder).name == str(folder)
    assert not any(weight.is_meta or weight.requires_grad for weight in base.unet.parameters())


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


def test_the_autoencoder_stays_in_float32_beside_half_precision(copy: Path) -> None:
    base = load_sdxl(copy, dtype=torch.float16)
    assert (base.dtype, base.autoencoder.dtype) == (torch.float16, torch.float32)
    edit_json(copy / "vae" / "config.json", force_upcast=False)
    assert load_sdxl(copy, dtype=torch.float16).autoencoder.dtype == torch.float16


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


def test_old_names_of_the_autoencoders_attention(copy: Path, folder: Path) -> None:
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, name in old.items():
        tensors = {
            key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): t for key, t in tensors.items()
        }
    save_file(tensors, file)
    latents = torch.randn(1, 4, 4, 4)
    assert torch.equal(load_sdxl(copy).decode(latents), load_sdxl(folder).decode(latents))


def test_the_published_configurations_have_the_published_sizes() -> None:
    with torch.device("meta"):
        counts = [
            sum(weight.numel() for weight in network.parameters())
            for network in (
                UNet2DConditionModel.from_config(dict(published.UNET)),
                AutoencoderKL.from_config(dict(published.AUTOENCODER)),
                CLIPTextModel(CLIPTextConfig(**published.TEXT_ENCODER)),
                CLIPTextModelWithProjection(CLIPTextConfig(**published.TEXT_ENCODER_2)),
            )
        ]
    assert counts == [2_567_463_684, 83_653_863, 123_060_480, 694_659_840]


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


def test_a_unet_that_is_no_sdxl(copy: Path) -> None:
    edit_json(copy / "unet" / "config.json", addition_embed_type=None)
    with pytest.raises(WeightsError, match="expected 'text_time'"):
        load_sdxl(copy)
    edit_json(copy / "unet" / "config.json", addition_embed_type="text_time", in_channels=9)
    with pytest.raises(WeightsError, match="takes 9 channels; expected 4"):
        load_sdxl(copy)


def test_parts_of_different_checkpoints(copy: Path) -> None:
    edit_json(copy / "text_encoder" / "config.json", hidden_size=16)
    with pytest.raises(WeightsError, match=r"text_encoder has .* of shape \(.*32.*\); expected \(.*16.*\)"):
        load_sdxl(copy)


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


def test_weights_that_lack_a_tensor_or_have_one_too_many(copy: Path) -> None:
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "extra": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match=r"vae has extra; expected the .* tensors of its kind only"):
        load_sdxl(copy)
    del tensors["decoder.conv_in.bias"]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"vae lacks decoder\.conv_in\.bias; expected all"):
        load_sdxl(copy)


def test_damaged_files(copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    for damaged in (b"", whole[:5], whole[: len(whole) // 2], b"\xff" * 8 + whole[8:], b"\0" * 64):
        file.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"cannot read diffusion_pytorch_model.safetensors"):
            load_sdxl(copy)
    (copy / "unet" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_sdxl(copy)


@pytest.mark.parametrize("header_bytes", [640, 896, 1152, 1408])
def test_a_headers_length_does_not_make_a_pickle(header_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "sd.safetensors"
    for padding in range(2048):
        save_file({"a": torch.zeros(1)}, path, {"x": "x" * padding})
        if int.from_bytes(path.read_bytes()[:8], "little") == header_bytes:
            break
    assert int.from_bytes(path.read_bytes()[:8], "little") == header_bytes
    refuse_pickle(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="is a pickle"):
        refuse_pickle(path)


def test_pickles_are_never_read(copy: Path, tmp_path: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.with_suffix(".bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="is a pickle"):
        load_sdxl(copy)
    for name in ("model.ckpt", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(WeightsError, match="is a pickle, which can run any program"):
            load_sdxl(tmp_path / name)


class Trap:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was read",))


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


def test_the_older_form_of_a_tokenizer(folder: Path, copy: Path) -> None:
    for part in ("tokenizer", "tokenizer_2"):
        whole = copy / part / "tokenizer.json"
        words = json.loads(whole.read_text(encoding="utf-8"))["model"]["vocab"]
        whole.unlink()
        (copy / part / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
        (copy / part / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    old, new = (load_sdxl(path).encode_text(["a cat"]).states for path in (copy, folder))
    assert torch.equal(old, new)


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("unet", {"sample_size": None}, "got sample_size None; expected a whole number from 1 to 512"),
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


def test_shards_may_not_lie_elsewhere(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(copy / "outside.safetensors")
    index = {"weight_map": {"conv_in.weight": "../outside.safetensors"}}
    index_file = copy / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index_file.write_text(json.dumps(index), encoding="utf-8")
    (copy / "unet" / "other.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        load_sdxl(copy)


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
