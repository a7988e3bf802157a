"""Queries, keys and values that a file keeps as one layer, in the order of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.paint.lora.files.samples import random
from tests.tiny_loras import Networks, Tensors, kohya_sdxl, qwen_networks, save, sdxl_networks
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import delta_of

QKV = ("to_q", "to_k", "to_v")
ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
CLIP = ("q_proj", "k_proj", "v_proj")
SELF = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"
CROSS = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2"
ATTENTION = "transformer.transformer_blocks.0.attn"
TEXT = "text_encoder_2.text_model.encoder.layers.0.self_attn"

CASES: list[tuple[Networks, str, str, tuple[str, ...]]] = [
    (qwen_networks(), ATTENTION, "transformer_blocks.0.attn.to_qkv", QKV),
    (qwen_networks(), ATTENTION, "transformer.transformer_blocks.0.attn.to_added_qkv", ADDED),
    (qwen_networks(), ATTENTION, "lora_unet_transformer_blocks_0_attn_add_qkv_proj", ADDED),
    (sdxl_networks(), SELF, kohya_sdxl(f"{SELF}.to_qkv"), QKV),
    (sdxl_networks(), CROSS, f"{CROSS}.to_kv", QKV[1:]),
    (sdxl_networks(), TEXT, "lora_te2_text_model_encoder_layers_0_self_attn_in_proj", CLIP),
]


def weights(networks: Networks, stem: str, parts: tuple[str, ...]) -> list[Tensor]:
    network, _, path = stem.partition(".")
    return [networks[network].get_parameter(f"{path}.{part}.weight") for part in parts]


def halves(name: str, bases: list[Tensor], rank: int = 3) -> Tensors:
    rows = sum(len(base) for base in bases)
    return {
        f"{name}.lora_down.weight": random(rank, bases[0].shape[1]),
        f"{name}.lora_up.weight": random(rows, rank), f"{name}.alpha": torch.tensor(1.5),
    }  # fmt: skip


@pytest.mark.parametrize(("networks", "stem", "name", "parts"), CASES)
def test_each_part_gets_its_rows(
    tmp_path: Path, networks: Networks, stem: str, name: str, parts: tuple[str, ...]
) -> None:
    bases = weights(networks, stem, parts)
    tensors = halves(name, bases)
    lora = read_lora(save(tmp_path / "a.safetensors", tensors), networks)
    assert lora.unmatched == ()
    assert lora.updates.keys() == {f"{stem}.{part}" for part in parts}
    whole = 0.5 * tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
    got = torch.cat([delta_of(lora.updates[f"{stem}.{part}"]) for part in parts])
    torch.testing.assert_close(got, whole)


def test_a_whole_change_lengths_of_rows_and_a_bias(tmp_path: Path) -> None:
    networks, name = qwen_networks(), "transformer_blocks.0.attn.to_qkv"
    bases = weights(networks, ATTENTION, QKV)
    rows, width = sum(map(len, bases)), bases[0].shape[1]
    delta, lengths, bias = random(rows, width), random(rows).abs(), random(rows)
    tensors = {f"{name}.diff": delta, f"{name}.dora_scale": lengths[:, None], f"{name}.diff_b": bias}
    lora = read_lora(save(tmp_path / "a.safetensors", tensors), networks)
    merged = torch.cat(bases) + delta
    expected = merged * (lengths / merged.norm(dim=1))[:, None] - torch.cat(bases)
    updates = [lora.updates[f"{ATTENTION}.{part}"] for part in QKV]
    got = torch.cat([delta_of(update, base) for update, base in zip(updates, bases, strict=True)])
    torch.testing.assert_close(got, expected)
    assert torch.equal(torch.cat([lora.vectors[f"{ATTENTION}.{part}.bias"] for part in QKV]), bias)


def test_what_several_layers_cannot_share_is_refused(tmp_path: Path) -> None:
    networks, name = qwen_networks(), "transformer_blocks.0.attn.to_qkv"
    bases = weights(networks, ATTENTION, QKV)
    columns = {**halves(name, bases), f"{name}.dora_scale": torch.ones(1, bases[0].shape[1])}
    with pytest.raises(LoraError, match="lengths of columns that go through several layers here"):
        read_lora(save(tmp_path / "a.safetensors", columns), networks)
    twice = {**halves(name, bases), **halves("transformer_blocks.0.attn.to_k", bases[1:2])}
    with pytest.raises(LoraError, match=r"changes transformer\..*to_k twice, once within"):
        read_lora(save(tmp_path / "a.safetensors", twice), networks)
