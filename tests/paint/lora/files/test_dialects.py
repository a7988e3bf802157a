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
    assert {"diffusers", "kohya", "PEFT", "ComfyUI", "OneTrainer", "LyCORIS", "plain"} == {
        row[0] for row in BEGINNINGS
    }
    assert {role for _, role in ENDINGS} == {"down", "up", "mid", "alpha", "hada", "lokr", "diff"}
