from __future__ import annotations

from pathlib import Path

import pytest
from tests.paint.lora.files.samples import FAMILIES, same_updates
from tests.tiny_loras import (
    ATTENTION,
    DENOISER_ONLY,
    SDXL_ONLY,
    SPELLINGS,
    make_updates,
    save,
    spell,
)

from allaprima.paint.lora.files.dialects import BEGINNINGS, ENDINGS
from allaprima.paint.lora.files.reader import read_lora

CASES = [
    (family, dialect)
    for family in FAMILIES
    for dialect in SPELLINGS
    if family == "sdxl" or dialect not in SDXL_ONLY
    if family == "qwen-image" or dialect != "OneTrainer"
]


def layers_for(family: str, dialect: str) -> str:
    """Return the pattern of the layers that a dialect can name."""
    if family == "qwen-image":
        return r"\.(to_\w+|to_out\.0|\w+_proj|img_mod\.1|net\.0\.proj|net\.2)$|img_in|norm_out\.linear"
    return r"^unet.*attn\d\.(to_[qkv]|to_out\.0)$" if dialect in DENOISER_ONLY else ATTENTION


@pytest.mark.parametrize(("family", "dialect"), CASES)
def test_every_dialect_reads_to_the_same_updates(tmp_path: Path, family: str, dialect: str) -> None:
    networks = FAMILIES[family]()
    updates = make_updates(networks, layers_for(family, dialect))
    lora = read_lora(save(tmp_path / "ink.safetensors", spell(updates, dialect)), networks, family=family)
    same_updates(lora, updates)
    assert lora.unmatched == ()
    assert lora.name == "ink"


def test_every_dialect_of_the_table_is_spelled_in_these_tests() -> None:
    assert {"diffusers", "kohya", "PEFT", "ComfyUI", "DiffSynth", "OneTrainer", "LyCORIS", "plain"} == {
        row[0] for row in BEGINNINGS
    }
    of_matrices = {"down", "up", "mid", "alpha", "hada", "lokr", "diff", "dora", "magnitude"}
    assert {role for _, role in ENDINGS} == of_matrices | {"diff_b", "w_norm", "b_norm", "up_bias"}


@pytest.mark.parametrize(
    ("begins", "networks"),
    [
        ("text_encoders.clip_l.transformer.", "text_encoder"), ("text_encoders.clip_l.", "text_encoder"),
        ("clip_l.transformer.", "text_encoder"), ("clip_l.", "text_encoder"),
        ("text_encoders.clip_g.transformer.", "text_encoder_2"), ("text_encoders.clip_g.", "text_encoder_2"),
        ("clip_g.transformer.", "text_encoder_2"), ("clip_g.", "text_encoder_2"),
    ],
)  # fmt: skip
def test_text_encoders_are_read_under_every_name(tmp_path: Path, begins: str, networks: str) -> None:
    """As ComfyUI and OneTrainer spell them: the text half of a LoRA counts as its U-Net half does."""
    updates = make_updates(FAMILIES["sdxl"](), rf"^{networks}\..*q_proj$")
    path = "text_model.encoder.layers.0.self_attn.q_proj"
    (update,) = (update for key, update in updates.items() if "layers.0." in key)
    tensors = {f"{begins}{path}.lora_A.weight": update.down, f"{begins}{path}.lora_B.weight": update.up}
    lora = read_lora(save(tmp_path / "ink.safetensors", tensors), FAMILIES["sdxl"](), family="sdxl")
    assert lora.unmatched == ()
    assert [key.partition(".")[0] for key in lora.updates] == [networks]


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("pipe.dit.", ".lora_{}.default.weight"), ("", ".lora_{}.default_0.default.weight"),
        ("transformer.", ".lora_{}.my-style-2.weight"), ("transformer._orig_mod.", ".lora_{}.weight"),
        ("base_model.model._orig_mod.", ".lora_{}.1.weight"), ("module.", ".lora_{}.weight"),
        ("base_model.model.transformer.", ".lora_{}.weight"), ("module.base_model.model.", ".lora_{}.default.weight"),
    ],
)  # fmt: skip
def test_what_trainers_leave_around_a_layers_name_is_read_over(
    tmp_path: Path, begins: str, ends: str
) -> None:
    networks = FAMILIES["qwen-image"]()
    updates = make_updates(networks, r"0\.attn\.to_q$")
    tensors = {
        begins + key.partition(".")[2] + ends.format(half): tensor
        for key, update in updates.items()
        for half, tensor in (("A", update.down), ("B", update.up))
    }
    lora = read_lora(save(tmp_path / "ink.safetensors", tensors), networks, family="qwen-image")
    assert lora.unmatched == ()
    assert lora.updates.keys() == updates.keys()
