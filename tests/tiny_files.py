"""A tiny Qwen-Image in the layouts that people have on their disks: split as ComfyUI does, quantised in every way.

    stock = make_split_pipeline()
    files = write_split(tmp_path, stock, "scale_weight")   # stock's weights become what the files stand for

Its widths are whole blocks of GGUF's formats; its autoencoder and text encoder have the published heads and channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from safetensors.torch import save_file
from tests.tiny_qwen import PUBLISHED, byte_tokenizer
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from allaprima.paint.bases.files.parts import PartName

WIDTH = 256
Layout = Literal[
    "fp32", "bf16", "fp8", "scale_weight", "weight_scale", "comfy_quant", "metadata", "int8", "Q8_0", "Q4_K"
]
LAYOUTS: tuple[Layout, ...] = (
    "fp32", "bf16", "fp8", "scale_weight", "weight_scale", "comfy_quant", "metadata", "int8", "Q8_0", "Q4_K"
)  # fmt: skip

SDXL_NAMES = (
    "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.middle_block.1.norm.weight",
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
    "conditioner.embedders.1.model.ln_final.weight", "first_stage_model.decoder.conv_in.weight",
    "first_stage_model.decoder.mid.block_1.norm1.weight",
)  # fmt: skip


def write_names(path: Path, *names: str, shape: tuple[int, ...] = (1,), **metadata: str) -> Path:
    """Write a file that is known by the names of its tensors, and holds no weights to speak of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(shape) for name in names or SDXL_NAMES}, path, metadata or None)
    return path


def make_split_pipeline(words: int | None = None) -> QwenImagePipeline:
    """Return stock diffusers' pipeline over networks whose shapes tell their configuration, the same at every call.

    Args:
        words: the pieces that the text encoder knows; None for those of the tokenizer over bytes.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = byte_tokenizer()
        pipeline = QwenImagePipeline(
            transformer=QwenImageTransformer2DModel(
                in_channels=64, out_channels=16, num_layers=2, attention_head_dim=32, num_attention_heads=8,
                joint_attention_dim=WIDTH, axes_dims_rope=(4, 14, 14),
            ).eval(),
            vae=AutoencoderKLQwenImage(base_dim=8).eval(),
            text_encoder=_text_encoder(words or len(tokenizer)),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**PUBLISHED),
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _text_encoder(words: int) -> Qwen2_5_VLForConditionalGeneration:
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": words, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
                "rms_norm_eps": 1e-6,
                "rope_parameters": {
                    "rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0,
                },
            },
            vision_config={
                "depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": WIDTH,
                "patch_size": 14, "fullatt_block_indexes": [0],
            },
        )
    )  # fmt: skip
    model.train(mode=False)
    return model


def write_split(
    folder: Path, stock: QwenImagePipeline, layout: Layout = "bf16", *, prefix: str = ""
) -> dict[PartName, Path]:
    """Write a pipeline as ComfyUI's folders keep it and return the files by part.

    The stock pipeline is given the very numbers that the files stand for.

    Args:
        layout: how the transformer and the text encoder are stored; the autoencoder is stored in bf16, or fp32.
        prefix: what stands before the transformer's names.
    """
    transformer, text = stock.transformer.state_dict(), stock.text_encoder.state_dict()
    kind = ".gguf" if layout in ("Q8_0", "Q4_K") else ".safetensors"
    files: dict[PartName, Path] = {
        "transformer": folder / "diffusion_models" / f"tiny_{layout}{kind}",
        "text_encoder": folder / "text_encoders" / f"tiny_vl{kind}",
        "vae": folder / "vae" / "tiny_vae.safetensors",
    }
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    write = _gguf_writer(layout) if kind == ".gguf" else _safetensors_writer(layout)
    numbers = write(
        files["transformer"], {f"{prefix}{name}": value for name, value in transformer.items()}, "qwen_image"
    )
    stock.transformer.load_state_dict({name.removeprefix(prefix): value for name, value in numbers.items()})
    rename = llama_name if kind == ".gguf" else legacy_name
    names = {name: rename(name) for name in text if rename(name)}
    numbers = write(files["text_encoder"], {theirs: text[ours] for ours, theirs in names.items()}, "qwen2vl")
    stock.text_encoder.load_state_dict({**text, **{ours: numbers[theirs] for ours, theirs in names.items()}})
    stock.vae.load_state_dict(_write_vae(files["vae"], stock.vae.state_dict(), layout))
    return files


def _write_vae(path: Path, tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Write an autoencoder under Wan 2.1's names and return its numbers under diffusers'."""
    numbers = _safetensors_writer("fp32" if layout == "fp32" else "bf16")(
        path, {wan_name(name): value for name, value in tensors.items()}, ""
    )
    return {name: numbers[wan_name(name)] for name in tensors}


def legacy_name(name: str) -> str:
    """Return the name that a tensor of the text encoder had in older versions of transformers, and has in ComfyUI."""
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


_LLAMA = (
    ("model.language_model.layers.", "blk."), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"),
    ("input_layernorm", "attn_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"), ("model.language_model.embed_tokens", "token_embd"),
    ("model.language_model.norm", "output_norm"), ("lm_head", "output"),
)  # fmt: skip


def llama_name(name: str) -> str:
    """Return llama.cpp's name for a tensor of the language model; "" for the eyes, which it keeps in another file."""
    if name.startswith("model.visual."):
        return ""
    for ours, theirs in _LLAMA:
        name = name.replace(ours, theirs)
    return name


def wan_name(name: str) -> str:
    """Return Wan 2.1's name for a tensor of the autoencoder."""
    direct = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
    top, _, rest = name.partition(".")
    if top in direct:
        return f"{direct[top]}.{rest}"
    for ours, theirs in (
        ("conv_in.", "conv1."), ("norm_out.", "head.0."), ("conv_out.", "head.2."),
        ("mid_block.resnets.0.", "middle.0."), ("mid_block.attentions.0.", "middle.1."),
        ("mid_block.resnets.1.", "middle.2."), ("down_blocks.", "downsamplers."),
    ):  # fmt: skip
        rest = rest.replace(ours, theirs) if rest.startswith(ours) else rest
    rest = rest.replace("downsamplers.", "downsamples.")
    parts = rest.split(".")
    if parts[0] == "up_blocks":
        level, kind, at = int(parts[1]), parts[2], int(parts[3])
        place = 4 * level + (at if kind == "resnets" else 3)
        rest = ".".join(["upsamples", str(place), *parts[4:]])
    if ".conv_shortcut." in rest:
        rest = rest.replace(".conv_shortcut.", ".shortcut.")
    elif not rest.startswith(("middle.1.", "head.")):
        for ours, theirs in (
            ("norm1.", "residual.0."),
            ("conv1.", "residual.2."),
            ("norm2.", "residual.3."),
            ("conv2.", "residual.6."),
        ):
            rest = rest.replace(f".{ours}", f".{theirs}")
    return f"{top}.{rest}"


Writer = Callable[[Path, Mapping[str, Tensor], str], dict[str, Tensor]]
"""(file, tensors, architecture) -> the numbers that the written file stands for, in float32."""


def _safetensors_writer(layout: Layout) -> Writer:
    def write(path: Path, tensors: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
        del architecture
        stored: dict[str, Tensor] = {}
        numbers: dict[str, Tensor] = {}
        notes: dict[str, Any] = {}
        for name, tensor in tensors.items():
            stored |= _store(name, tensor.float().contiguous(), layout, numbers, notes)
        if layout == "scale_weight":
            stored["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
        metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": notes})}
        save_file(stored, path, metadata if layout == "metadata" else None)
        return numbers

    return write


def _store(
    name: str, tensor: Tensor, layout: Layout, numbers: dict[str, Tensor], notes: dict[str, Any]
) -> dict[str, Tensor]:
    """Return what is written of one tensor, and note the numbers that this stands for."""
    layer = name.removesuffix(".weight")
    is_layer = (
        name.endswith(("proj.weight", ".0.weight", ".1.weight", "to_q.weight", "to_k.weight", "to_v.weight"))
        and tensor.ndim == 2
    )
    if layout in ("fp32", "bf16") or (not is_layer and layout != "fp8"):
        kept = tensor if layout == "fp32" else tensor.bfloat16()
        numbers[name] = kept.float()
        return {name: kept}
    if layout == "fp8":  # ComfyUI's plain casts leave nothing out
        cast = tensor.to(torch.float8_e4m3fn)
        numbers[name] = cast.float()
        return {name: cast}
    if layout == "int8":
        scale = tensor.abs().amax(dim=1, keepdim=True) / 127
        cast = (tensor / scale).round().to(torch.int8)
    else:
        scale = tensor.abs().max() / 448
        cast = (tensor / scale).to(torch.float8_e4m3fn)
    numbers[name] = cast.float() * scale
    form = "int8_tensorwise" if layout == "int8" else "float8_e4m3fn"
    note = torch.tensor(list(json.dumps({"format": form}).encode()), dtype=torch.uint8)
    notes[layer] = {"format": form}
    spelled = {
        "scale_weight": {f"{layer}.scale_weight": scale.reshape(-1), f"{layer}.scale_input": torch.ones(1)},
        "comfy_quant": {f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": note},
        "int8": {f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": note},
    }
    return {
        name: cast,
        **spelled.get(layout, {f"{layer}.weight_scale": scale, f"{layer}.input_scale": torch.ones(())}),
    }


def _gguf_writer(layout: Layout) -> Writer:
    kind = gguf.GGMLQuantizationType[layout]

    def write(path: Path, tensors: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
        writer = gguf.GGUFWriter(str(path), architecture)
        if architecture == "qwen2vl":
            writer.add_array("tokenizer.ggml.tokens", ["a", "b", "猫"])
        numbers = {}
        random = np.random.default_rng(0)
        for name, tensor in tensors.items():
            array = tensor.float().numpy()
            if array.ndim != 2 or array.shape[1] % gguf.GGML_QUANT_SIZES[kind][0]:
                writer.add_tensor(name, array)
                numbers[name] = torch.from_numpy(array.copy())
                continue
            blocks = gguf.quants.quantize(array, kind) if layout == "Q8_0" else _random_blocks(array, random)
            writer.add_tensor(name, blocks, raw_dtype=kind)
            numbers[name] = torch.from_numpy(gguf.quants.dequantize(blocks, kind).copy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return numbers

    return write


def _random_blocks(array: np.ndarray[Any, Any], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return blocks of Q4_K for numbers as large as those of `array`; the package reads them and writes none."""
    rows, width = array.shape
    blocks = random.integers(0, 256, (rows, width // 256, 144), dtype=np.uint8)
    scales = np.array([np.abs(array).mean() / 240, np.abs(array).mean() / 32], dtype=np.float16)
    blocks[..., :4] = scales.view(np.uint8)
    return blocks.reshape(rows, -1)
