"""A tiny FLUX.2 klein and a tiny Z-Image as people have them: split as ComfyUI splits them, by the authors' names.

    files = write_split_klein(tmp_path, make_split_klein(), "Q8_0")

Stock's weights become what the files stand for. The names are written out here by hand, and read back
by diffusers' own converters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_z_image_transformer_checkpoint_to_diffusers,
)
from tests import tiny_klein, tiny_z_image
from tests.tiny_files import Layout, _gguf_writer, _safetensors_writer
from tests.tiny_qwen3 import chat_tokenizer
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from allaprima.paint.bases.files.parts import PartName

WIDTH = 256
LAYOUTS: tuple[Layout, ...] = ("fp32", "bf16", "fp8", "scale_weight", "Q8_0", "Q4_K")
State = dict[str, Tensor]


def make_split_klein() -> Flux2KleinPipeline:
    """Return stock diffusers' pipeline over networks whose shapes tell their configuration, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = chat_tokenizer()
        vae = AutoencoderKLFlux2(block_out_channels=(32,) * 4, layers_per_block=1, latent_channels=32)
        vae.bn.running_mean = torch.linspace(-0.5, 0.5, 128)
        vae.bn.running_var = torch.linspace(0.7, 2.5, 128)
        pipeline = Flux2KleinPipeline(
            transformer=Flux2Transformer2DModel(
                in_channels=128, num_layers=1, num_single_layers=1, attention_head_dim=32, num_attention_heads=8,
                joint_attention_dim=3 * WIDTH, axes_dims_rope=(8,) * 4, guidance_embeds=False,
            ).eval(),
            vae=vae.eval(),
            text_encoder=_text_encoder(len(tokenizer), layers=28),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**tiny_klein.PUBLISHED),
            is_distilled=True,
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_split_z_image() -> ZImagePipeline:
    """Return stock diffusers' pipeline over networks whose shapes tell their configuration, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = chat_tokenizer()
        transformer = ZImageTransformer2DModel(
            in_channels=16, dim=WIDTH, n_layers=1, n_refiner_layers=1, n_heads=8, n_kv_heads=8, cap_feat_dim=WIDTH,
            axes_dims=[8, 12, 12], axes_lens=[1536, 512, 512],
        )  # fmt: skip
        with torch.no_grad():
            transformer.x_pad_token.normal_(std=0.5)
            transformer.cap_pad_token.normal_(std=0.5)
        pipeline = ZImagePipeline(
            transformer=transformer.eval(),
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(32, 32, 64, 64), layers_per_block=1, latent_channels=16, scaling_factor=0.3611,
                shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
            ).eval(),
            text_encoder=_text_encoder(len(tokenizer), layers=3),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**tiny_z_image.TURBO),
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_split_klein(
    folder: Path, stock: Flux2KleinPipeline, layout: Layout, *, prefix: str = "", name: str = "klein"
) -> dict[PartName, Path]:
    """Write a klein as ComfyUI's folders keep it and return the files by part."""
    names = bfl_tensors(stock.transformer.state_dict())
    convert = convert_flux2_transformer_checkpoint_to_diffusers
    return _write(folder, stock, layout, names, convert, prefix=prefix, name=name)


def write_split_z_image(
    folder: Path, stock: ZImagePipeline, layout: Layout, *, prefix: str = "", name: str = "z_image_turbo"
) -> dict[PartName, Path]:
    """Write a Z-Image as ComfyUI's folders keep it and return the files by part."""
    names = z_image_tensors(stock.transformer.state_dict())
    convert = convert_z_image_transformer_checkpoint_to_diffusers
    return _write(folder, stock, layout, names, convert, prefix=prefix, name=name)


def _write(
    folder: Path, stock: Any, layout: Layout, transformer: State, convert: Callable[[State], State], *, prefix: str,
    name: str,
) -> dict[PartName, Path]:  # fmt: skip
    is_gguf = layout in ("Q8_0", "Q4_K")
    kind = ".gguf" if is_gguf else ".safetensors"
    files: dict[PartName, Path] = {
        "transformer": folder / "diffusion_models" / f"{name}{kind}",
        "text_encoder": folder / "text_encoders" / f"qwen_3_4b{kind}",
        "vae": folder / "vae" / "ae.safetensors",
    }
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    write = _gguf_writer(layout) if is_gguf else _safetensors_writer(layout)
    numbers = write(
        files["transformer"], {f"{prefix}{one}": value for one, value in transformer.items()}, "x"
    )
    stock.transformer.load_state_dict(
        convert({one.removeprefix(prefix): value for one, value in numbers.items()})
    )
    text = {one: value for one, value in stock.text_encoder.state_dict().items() if one != "lm_head.weight"}
    rename = llama_name if is_gguf else str
    numbers = write(files["text_encoder"], {rename(one): value for one, value in text.items()}, "qwen3")
    read = {one: numbers[rename(one)] for one in text}
    stock.text_encoder.load_state_dict({**read, "lm_head.weight": read["model.embed_tokens.weight"]})
    vae = stock.vae.state_dict()
    store = _safetensors_writer("fp32" if layout == "fp32" else "bf16")
    numbers = store(files["vae"], {ldm_name(one): as_ldm(one, value) for one, value in vae.items()}, "")
    stock.vae.load_state_dict(
        {one: numbers[ldm_name(one)].reshape(value.shape) for one, value in vae.items()}
    )
    return files


def _text_encoder(words: int, layers: int) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, head_dim=128, max_position_embeddings=1024,
        tie_word_embeddings=True, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    model.train(mode=False)
    return model


def bfl_tensors(state: Mapping[str, Tensor]) -> State:
    """Return a transformer's tensors under Black Forest Labs' names, with queries, keys and values fused."""
    theirs: State = {}
    for name, value in state.items():
        if re.search(r"\.(to_[kv]|add_[kv]_proj)\.", name):
            continue
        if name == "norm_out.linear.weight":
            scale, shift = value.chunk(2)
            theirs["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
            continue
        if ".to_q." in name or ".add_q_proj." in name:
            others = (
                state[name.replace("to_q", f"to_{part}").replace("add_q", f"add_{part}")] for part in "kv"
            )
            value = torch.cat([value, *others])
        theirs[_bfl_name(name)] = value
    return theirs


_BFL = (
    ("single_transformer_blocks.", "single_blocks."), ("transformer_blocks.", "double_blocks."),
    ("attn.to_qkv_mlp_proj", "linear1"), ("attn.to_q.", "img_attn.qkv."), ("attn.add_q_proj.", "txt_attn.qkv."),
    ("attn.to_out.0.", "img_attn.proj."), ("attn.to_out.", "linear2."), ("attn.to_add_out.", "txt_attn.proj."),
    ("attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale"),
    ("attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale"),
    ("ff.linear_in", "img_mlp.0"), ("ff.linear_out", "img_mlp.2"), ("ff_context.linear_in", "txt_mlp.0"),
    ("ff_context.linear_out", "txt_mlp.2"), ("modulation.linear", "modulation.lin"),
    ("modulation_img.linear", "modulation_img.lin"), ("modulation_txt.linear", "modulation_txt.lin"),
    ("x_embedder", "img_in"), ("context_embedder", "txt_in"),
    ("time_guidance_embed.timestep_embedder.linear_1", "time_in.in_layer"),
    ("time_guidance_embed.timestep_embedder.linear_2", "time_in.out_layer"), ("proj_out", "final_layer.linear"),
)  # fmt: skip


def _bfl_name(name: str) -> str:
    is_single = name.startswith("single_transformer")
    for ours, theirs in _BFL:
        name = name.replace(ours, theirs)
    norm = "norm" if is_single else "img_attn.norm"
    name = name.replace("attn.norm_q.weight", f"{norm}.query_norm.scale")
    return name.replace("attn.norm_k.weight", f"{norm}.key_norm.scale")


def z_image_tensors(state: Mapping[str, Tensor]) -> State:
    """Return a transformer's tensors as ComfyUI names them, with queries, keys and values fused."""
    theirs: State = {}
    for name, value in state.items():
        if re.search(r"\.to_[kv]\.", name):
            continue
        if ".to_q." in name:
            others = (state[name.replace("to_q", f"to_{part}")] for part in "kv")
            theirs[name.replace("to_q", "qkv")] = torch.cat([value, *others])
            continue
        new = name.replace("attention.to_out.0.", "attention.out.").replace("norm_q", "q_norm")
        new = new.replace("norm_k", "k_norm").replace("all_x_embedder.2-1", "x_embedder")
        theirs[new.replace("all_final_layer.2-1", "final_layer")] = value
    return theirs


_LLAMA = (
    ("model.layers.", "blk."), ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"), ("input_layernorm", "attn_norm"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
    ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
)  # fmt: skip


def llama_name(name: str) -> str:
    """Return llama.cpp's name for a tensor of the language model."""
    for ours, theirs in _LLAMA:
        name = name.replace(ours, theirs)
    return name


def ldm_name(name: str, levels: int = 4) -> str:
    """Return the name that Stable Diffusion's first code had for a tensor of an autoencoder."""
    name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.", r"encoder.down.\1.block.", name)
    name = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0\.", r"encoder.down.\1.downsample.", name)
    up = re.match(r"decoder\.up_blocks\.(\d)\.", name)
    if up is not None:
        level = levels - 1 - int(up[1])
        name = name.replace(up[0], f"decoder.up.{level}.").replace(".resnets.", ".block.")
        name = name.replace(".upsamplers.0.", ".upsample.")
    for ours, theirs in (
        ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"), ("mid_block.attentions.0.to_", "mid.attn_1."),
        ("conv_norm_out", "norm_out"), ("conv_shortcut", "nin_shortcut"),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    # Black Forest Labs keep these inside encoder and decoder.
    return re.sub(
        r"^(post_)?quant_conv", lambda found: f"{'decoder' if found[1] else 'encoder'}.{found[0]}", name
    )


def as_ldm(name: str, value: Tensor) -> Tensor:
    """Return a tensor as that code had it: attention by convolutions of one pixel."""
    is_product = ".attentions." in name and value.ndim == 2
    return value[:, :, None, None] if is_product else value
