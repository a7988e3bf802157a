from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    TENSORS,
    refused,
)
from tests.tiny_loras import (
    changed,
    sdxl_networks,
)
from torch import nn

from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import delta_of

CONFIGS = [
    "", "[]", "null", "{", '{"lora_alpha": "8"}', '{"lora_alpha": NaN}', '{"lora_alpha": 1e9}',
    '{"lora_alpha": [8]}', '{"lora_alpha": true}', '{"r": 0}', '{"r": "4"}', '{"rank_pattern": {"to_q": 0.5}}',
    '{"alpha_pattern": [1]}', '{"alpha_pattern": {"to_q": "x"}}', '{"use_dora": true}', '{"peft_type": "OFT"}',
    '{"alpha_pattern": {"(to_q": 2}}', '{"alpha_pattern": {"(\\\\w+)*x": 2}}', '{"rank_pattern": {"[z-a]": 2}}',
    '{"alpha_pattern": {".*t.*o.*_.*q": 2}}', '{"alpha_pattern": {"(?i)to_q": 2}}', '{"alpha_pattern": {"a(*b)": 2}}',
    '{"alpha_pattern": {"' + "(a|b)" * 40 + '": 2}}',
    json.dumps({"alpha_pattern": {f"{number}.*q": 2 for number in range(99)}}),
    '{"peft_type": 5}', '{"peft_type": {}}', "[" * 90_000, '{"lora_alpha": ' + "9" * 5000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda text: text[:40])
def test_a_configuration_that_cannot_be_meant(tmp_path: Path, config: str) -> None:
    (tmp_path / "adapter_config.json").write_text(config, encoding="utf-8")
    silent = {name: tensor for name, tensor in TENSORS.items() if "alpha" not in name}
    refused(tmp_path / "a.safetensors", to_bytes(silent))


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=2, target_modules=["to_q", "conv1"]),
        LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=["to_q", "proj_in"]),
        LoraConfig(
            r=4,
            lora_alpha=4,
            target_modules=["to_q", "to_k"],
            rank_pattern={"attn2.to_k": 2},
            alpha_pattern={"to_k": 1},
        ),
        LoraConfig(
            r=4,
            lora_alpha=4,
            target_modules=["to_q", "to_k", "to_v", "conv1"],
            rank_pattern={r".*attn2\.to_q": 2, r"up_blocks\.(0|1)\..*to_v": 3},
            alpha_pattern={
                r"^(down|mid)_blocks?\.\d+\.resnets\.[01]\.conv1$": 2,
                r"attn1.to_(q|k)": 8,
                "to_q": 1,
                "to_k|conv1": 12,
            },
        ),
        LoHaConfig(r=4, alpha=2, target_modules=["to_q", "conv1"]),
        LoHaConfig(r=4, alpha=2, target_modules=["conv1"], use_effective_conv2d=True),
        LoKrConfig(r=2, alpha=4, target_modules=["to_q", "conv1"]),
        LoKrConfig(r=2, alpha=2, target_modules=["conv1"], use_effective_conv2d=True, decompose_both=True),
    ],
    ids=lambda config: f"{config.peft_type.value}-{'-'.join(sorted(config.target_modules))}",
)
def test_folders_of_peft_mean_what_peft_makes_of_them(tmp_path: Path, config: LoraConfig) -> None:
    networks = {"unet": sdxl_networks()["unet"]}
    model = get_peft_model(changed(networks, {})["unet"], config)
    draw = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=draw) / 3
    model.save_pretrained(str(tmp_path / "style"))
    lora = read_lora(tmp_path / "style", networks)
    assert lora.name == "style"
    merged = model.merge_and_unload()
    touched = 0
    for path, layer in networks["unet"].named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        layer_of_peft = merged.get_submodule(path)
        assert isinstance(layer_of_peft, nn.Linear | nn.Conv2d)
        moved = layer_of_peft.weight - layer.weight
        update = lora.updates.get(f"unet.{path}")
        expected = torch.zeros_like(moved) if update is None else delta_of(update)
        assert torch.allclose(expected, moved, atol=1e-5), path
        touched += update is not None
    assert touched == len(lora.updates) > 0
