"""Files are known by what is in them: the names of public files, in files of any ending."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_files import SDXL_NAMES, make_split_pipeline, write_names, write_split
from tests.tiny_qwen import byte_tokenizer

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image
from allaprima.paint.bases.recognition import recognise


@pytest.mark.parametrize(
    ("names", "kind", "name"),
    [
        (["txt_in.text_norm.weight"], "transformer", "Qwen-Image-2.1's transformer"),
        (["model.diffusion_model.txtfusion.projector.weight"], "transformer", "Krea 2's"),
        (["net.llm_adapter.blocks.0.x", "net.blocks.0.self_attn.q_proj.weight"], "transformer", "Anima's"),
        (["double_blocks.0.img_attn.qkv.weight"], "transformer", "FLUX.1's"),
        (["distilled_guidance_layer.in_proj.bias", "double_blocks.0.x"], "transformer", "Chroma's"),
        (["joint_blocks.0.x_block.mlp.fc1.weight"], "transformer", "Stable Diffusion 3's"),
        (["head.modulation", "blocks.0.self_attn.q.weight"], "transformer", "Wan's"),
        (["cond_stage_model.transformer.text_model.x"], "checkpoint", "Stable Diffusion 1"),
        (["encoder.block.0.layer.0.SelfAttention.q.weight"], "text encoder", r"a text encoder alone \(T5\)"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "text encoder", r"a text encoder alone \(CLIP\)"),
        (
            ["embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.weight"],
            "text encoder",
            r"a text encoder alone \(CLIP\)",
        ),
        (["lora_unet_x.lora_down.weight"], "lora", "a LoRA"),
        (["transformer_blocks.0.attn.to_q.lora_A.weight"], "lora", "a LoRA"),
        (["control_model.x"], "controlnet", "a ControlNet"),
        (
            [
                "add_embedding.linear_1.weight",
                "down_blocks.0.resnets.0.time_emb_proj.weight",
                "controlnet_cond_embedding.conv_in.weight",
            ],
            "controlnet",
            "a ControlNet",
        ),
        (
            ["add_embedding.linear_1.weight", "down_blocks.0.resnets.0.time_emb_proj.weight"],
            "unet",
            "a UNet alone",
        ),
        (["conv_first.weight"], "upscaler", "an upscaler"),
        (["surprise"], "unknown", "of a kind that is not known: its first tensor is 'surprise'"),
    ],
)
def test_what_no_base_is_made_of_is_named(names: list[str], kind: str, name: str, tmp_path: Path) -> None:
    path = write_names(tmp_path / "model.bin", *names)  # endings do not count
    found = recognise(read_header(path))
    assert (found.kind, found.part, found.families) == (kind, None, ())
    with pytest.raises(WeightsError, match=f"{path.name} is {name}.*, .+"):
        locate(str(path))


def test_siblings_of_qwen_image_are_told_apart(tmp_path: Path) -> None:
    known = (
        "txt_norm.weight",
        "transformer_blocks.0.attn.norm_added_q.weight",
        "transformer_blocks.0.img_mod.1.bias",
    )
    assert recognise(read_header(write_names(tmp_path / "a", *known))).families == ("qwen-image",)
    for mark, name in (
        ("__index_timestep_zero__", "Qwen-Image-Edit's transformer"),
        ("time_text_embed.addition_t_embedding.weight", "Qwen-Image-Layered's transformer"),
        ("controlnet_blocks.0.weight", "a ControlNet"),
    ):
        found = recognise(read_header(write_names(tmp_path / "b", *known, mark)))
        assert (found.name, found.part) == (name, None)


def test_svdquant_is_a_transformer_whose_weights_are_not_read(tmp_path: Path) -> None:
    names = (
        "txt_norm.weight", "transformer_blocks.0.attn.norm_added_q.weight", "transformer_blocks.0.img_mod.1.qweight",
        "transformer_blocks.0.attn.to_qkv.wscales", "transformer_blocks.0.attn.to_qkv.lora_down",
    )  # fmt: skip
    path = write_names(tmp_path / "svdq-int4_r128-qwen-image.safetensors", *names)
    assert recognise(read_header(path)).part == "transformer"
    with pytest.raises(
        WeightsError, match=r"weights in SVDQuant \(nunchaku\), which need its own GPU kernels; fetch"
    ):
        locate(str(path))


def test_an_sdxl_is_a_checkpoint_and_a_unet_alone_is_none(tmp_path: Path) -> None:
    whole = recognise(read_header(write_names(tmp_path / "a")))
    assert (whole.part, whole.families) == ("checkpoint", ("sdxl",))
    unet = recognise(read_header(write_names(tmp_path / "b", SDXL_NAMES[0])))
    assert (unet.kind, unet.name) == ("unet", "a UNet alone")


def test_one_file_may_hold_all_parts(tmp_path: Path) -> None:
    """As the checkpoints that people merge of Qwen-Image, its text encoder and its autoencoder."""
    stock = make_split_pipeline()
    files = write_split(tmp_path, stock, "bf16")
    prefixes = {
        "transformer": "model.diffusion_model.",
        "text_encoder": "text_encoders.qwen25_7b.transformer.",
        "vae": "vae.",
    }
    tensors: dict[str, torch.Tensor] = {}
    for part, path in files.items():
        tensors |= {f"{prefixes[part]}{name}": tensor for name, tensor in load_file(path).items()}
    save_file(tensors, tmp_path / "all.safetensors")
    located = locate(str(tmp_path / "all.safetensors"))
    assert (located.family, dict(located.parts)) == ("qwen-image", {})
    assert located.weight_files() == [tmp_path / "all.safetensors"]
    parts: tuple[PartName, ...] = ("transformer", "text_encoder", "vae")
    base = load_split_qwen_image(
        dict.fromkeys(parts, tmp_path / "all.safetensors"), dtype=torch.float32, tokenizer=byte_tokenizer
    )
    for name, weight in stock.transformer.state_dict().items():
        assert torch.equal(base.transformer.state_dict()[name], weight)
