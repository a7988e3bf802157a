"""Networks of the real classes at tiny size, LoRAs for them, and every program's way to spell those.

The spellings are written out here by hand, without the package's tables, so that a mistake there shows.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from diffusers import QwenImageTransformer2DModel
from safetensors.torch import save_file
from tests.tiny_sdxl import tiny_unet
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from allaprima.paint.lora.update import LowRank, delta_of

Tensors = dict[str, Tensor]
Networks = dict[str, nn.Module]


@cache
def sdxl_networks() -> Networks:
    """Return SDXL's denoiser and text encoders: three levels, as its layers' names need."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = tiny_unet((8, 16, 16), groups=4, text=16, times=4)
        config = CLIPTextConfig(
            vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            projection_dim=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )  # fmt: skip
        networks = {
            "unet": unet,
            "text_encoder": CLIPTextModel(config),
            "text_encoder_2": CLIPTextModelWithProjection(config),
        }
    return {name: network.eval().requires_grad_(requires_grad=False) for name, network in networks.items()}


@cache
def qwen_networks() -> Networks:
    """Return Qwen-Image's denoiser."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = QwenImageTransformer2DModel(
            patch_size=2, in_channels=8, out_channels=2, num_layers=2, attention_head_dim=8,
            num_attention_heads=2, joint_attention_dim=12, axes_dims_rope=(2, 2, 4),
        )  # fmt: skip
    return {"transformer": transformer.eval().requires_grad_(requires_grad=False)}


def run_sdxl(networks: Mapping[str, nn.Module]) -> Tensor:
    """Return what the text encoders and the denoiser make of fixed inputs, as one row of numbers."""
    draw = torch.Generator().manual_seed(1)
    tokens = torch.arange(2, 9)[None]
    texts = [networks[name](tokens) for name in ("text_encoder", "text_encoder_2")]
    states = torch.cat([text.last_hidden_state for text in texts], dim=-1)
    out = networks["unet"](
        torch.randn(1, 4, 8, 8, generator=draw),
        torch.tensor([400.0]),
        encoder_hidden_states=states,
        added_cond_kwargs={"text_embeds": texts[1].text_embeds, "time_ids": torch.ones(1, 6)},
    ).sample
    return torch.cat([states.flatten(), out.flatten()])


def run_qwen(networks: Mapping[str, nn.Module]) -> Tensor:
    """Return what the denoiser makes of fixed inputs, as one row of numbers."""
    draw = torch.Generator().manual_seed(1)
    out: Tensor = networks["transformer"](
        hidden_states=torch.randn(1, 4, 8, generator=draw),
        encoder_hidden_states=torch.randn(1, 3, 12, generator=draw),
        encoder_hidden_states_mask=torch.ones(1, 3, dtype=torch.bool),
        timestep=torch.tensor([0.5]),
        img_shapes=[[(1, 2, 2)]],
    ).sample
    return out.flatten()


def changed(networks: Mapping[str, nn.Module], deltas: Mapping[str, Tensor]) -> Networks:
    """Return copies of the networks with `deltas` added to the weights they are named for."""
    copies = {name: copy.deepcopy(network) for name, network in networks.items()}
    for key, delta in deltas.items():
        network, _, path = key.partition(".")
        layer = copies[network].get_submodule(path)
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        layer.weight.data += delta
    return copies


def make_updates(networks: Mapping[str, nn.Module], pattern: str, rank: int = 2) -> dict[str, LowRank]:
    """Return a random update of every layer whose key the pattern finds, strong enough to be seen."""
    draw = torch.Generator().manual_seed(5)
    updates = {}
    for network, module in networks.items():
        for path, layer in module.named_modules():
            key = f"{network}.{path}"
            if isinstance(layer, nn.Linear | nn.Conv2d) and re.search(pattern, key):
                out, *rest = layer.weight.shape
                ones = [1] * (len(rest) - 1)
                updates[key] = LowRank(
                    down=torch.randn(rank, *rest, generator=draw),
                    up=torch.randn(out, rank, *ones, generator=draw) / 16,
                )
    assert updates, pattern
    return updates


ATTENTION = r"attn\d?\.(to_[qkv]|to_out\.0)$|self_attn\."
"""The layers that every dialect, old ones too, has names for."""


def with_text_model(path: str) -> str:
    return path if path.startswith("text_model.") else f"text_model.{path}"


def dotted(key: str) -> tuple[str, str]:
    """Return network and path as they stand in files: text encoders with the `text_model` of older versions."""
    network, _, path = key.partition(".")
    return network, with_text_model(path) if network.startswith("text") else path


def old_diffusers(key: str) -> str:
    network, path = dotted(key)
    path = re.sub(r"(attn[12])\.(to_[qkv])$", r"\1.processor.\2_lora", path)
    path = re.sub(r"(attn[12])\.to_out\.0$", r"\1.processor.to_out_lora", path)
    path = re.sub(r"self_attn\.([qkv])_proj$", r"self_attn.to_\1_lora", path)
    path = re.sub(r"self_attn\.out_proj$", "self_attn.to_out_lora", path)
    assert path.endswith("_lora"), path
    return f"{network}.{path}"


def kohya(key: str) -> str:
    network, path = dotted(key)
    beginning = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}.get(network, "lora_unet_")
    return beginning + path.replace(".", "_")


def ldm(path: str) -> str:
    """Return what sgm calls an attention layer of the tiny SDXL U-Net, counted by hand."""
    blocks = {
        "down_blocks.1.attentions.0": "input_blocks.4.1", "down_blocks.1.attentions.1": "input_blocks.5.1",
        "down_blocks.2.attentions.0": "input_blocks.7.1", "down_blocks.2.attentions.1": "input_blocks.8.1",
        "mid_block.attentions.0": "middle_block.1",
        "up_blocks.0.attentions.0": "output_blocks.0.1", "up_blocks.0.attentions.1": "output_blocks.1.1",
        "up_blocks.0.attentions.2": "output_blocks.2.1", "up_blocks.1.attentions.0": "output_blocks.3.1",
        "up_blocks.1.attentions.1": "output_blocks.4.1", "up_blocks.1.attentions.2": "output_blocks.5.1",
    }  # fmt: skip
    block, rest = next((name, path[len(at) :]) for at, name in blocks.items() if path.startswith(f"{at}."))
    return block + rest


def kohya_sdxl(key: str) -> str:
    network, path = dotted(key)
    return f"lora_unet_{ldm(path).replace('.', '_')}" if network == "unet" else kohya(key)


def comfy(key: str) -> str:
    network, path = dotted(key)
    return f"diffusion_model.{ldm(path) if network == 'unet' else path}"


# Dialect: how a layer is called there, the endings of its halves, and whether an alpha is written.
Spelling = tuple[Callable[[str], str], str, str, bool]
AB = (".lora_A.weight", ".lora_B.weight")
DOWN_UP = (".lora_down.weight", ".lora_up.weight")
SPELLINGS: dict[str, Spelling] = {
    "diffusers": (lambda key: ".".join(dotted(key)), *AB, False),
    "diffusers, adapter named": (
        lambda key: ".".join(dotted(key)), ".lora_A.default.weight", ".lora_B.default.weight", False,
    ),
    "diffusers, lora.down": (lambda key: ".".join(dotted(key)), ".lora.down.weight", ".lora.up.weight", False),
    "diffusers, processors": (old_diffusers, ".down.weight", ".up.weight", False),
    "diffusers around PEFT": (lambda key: "{}.base_model.model.{}".format(*dotted(key)), *AB, False),
    "kohya": (kohya, *DOWN_UP, True),
    "kohya, SDXL": (kohya_sdxl, *DOWN_UP, True),
    "diffusion_model": (lambda key: f"diffusion_model.{dotted(key)[1]}", *AB, True),
    "ComfyUI": (comfy, *DOWN_UP, True),
    "PEFT": (lambda key: f"base_model.model.{dotted(key)[1]}", *AB, False),
    "PEFT, adapter named": (
        lambda key: f"base_model.model.{dotted(key)[1]}", ".lora_A.default.weight", ".lora_B.default.weight", False,
    ),
    "LightX2V": (lambda key: dotted(key)[1], *DOWN_UP, True),
    "OneTrainer": (lambda key: kohya(key).replace("lora_unet_", "lora_transformer_"), *DOWN_UP, True),
}  # fmt: skip
DENOISER_ONLY = frozenset({"diffusion_model", "ComfyUI", "PEFT", "PEFT, adapter named", "LightX2V"})
"""Dialects that have no names for two text encoders."""
SDXL_ONLY = frozenset({"diffusers, processors", "kohya, SDXL", "ComfyUI"})


def spell(updates: Mapping[str, LowRank], dialect: str, alpha: float | None = None) -> Tensors:
    """Return the tensors as a program writes them; with `alpha`, `up` is divided by alpha / rank."""
    name_of, down, up, has_alpha = SPELLINGS[dialect]
    tensors = {}
    for key, update in updates.items():
        scale = 1.0 if alpha is None else alpha / update.rank
        tensors[f"{name_of(key)}{down}"] = update.down
        tensors[f"{name_of(key)}{up}"] = update.up / scale
        if has_alpha:
            tensors[f"{name_of(key)}.alpha"] = torch.tensor(alpha or float(update.rank))
    return tensors


def save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a file with safetensors' own writer."""
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def deltas_of(updates: Mapping[str, LowRank]) -> Tensors:
    return {key: delta_of(update) for key, update in updates.items()}
