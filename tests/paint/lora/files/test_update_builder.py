from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    Q_ALPHA,
    Q_DOWN,
    Q_UP,
    TENSORS,
    refused,
)


def test_an_alpha_of_several_numbers(tmp_path: Path) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_ALPHA: torch.ones(2)}), "expected one number")


def test_halves_whose_product_overflows(tmp_path: Path) -> None:
    huge = {Q_DOWN: TENSORS[Q_DOWN] * 1e30, Q_UP: TENSORS[Q_UP] * 1e30}
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, **huge}), "overflow")


LAYER = "transformer_blocks.0.attn.to_q"
PARTS: list[dict[str, tuple[int, ...]]] = [
    {"lora_down.weight": (2, 16)}, {"lora_up.weight": (16, 2)}, {"alpha": ()}, {"lora_mid.weight": (2, 2, 3, 3)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": (2, 2, 3, 3)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": (2, 2)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "lora_mid.weight": ()},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 1), "lora_mid.weight": (1,)},
    {"lokr_w1": (4, 4), "lokr_w2": (4, 5), "lokr_w2_b": ()},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "hada_w1_a": (16, 2)},
    {"lora_down.weight": (2, 16), "lora_up.weight": (16, 2), "diff": (16, 16)},
    {"lora_down.weight": (2, 16), "hada_w1_b": (2, 16)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (3, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 16)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 8)},
    {"hada_w1_a": (16, 2), "hada_w1_b": (2, 16), "hada_w2_a": (16, 2), "hada_w2_b": (2, 16), "hada_t1": (2, 2)},
    {"hada_w1_a": (2, 16), "hada_w1_b": (2, 16), "hada_w2_a": (2, 16), "hada_w2_b": (2, 16), "hada_t1": (2, 2, 1, 1)},
    {"hada_w1_a": (16,), "hada_w1_b": (16,), "hada_w2_a": (16,), "hada_w2_b": (16,)}, {"lokr_w1": (4, 4)},
    {"lokr_w2": (4, 4)}, {"lokr_w1": (4, 4), "lokr_w2_a": (4, 2)}, {"lokr_w1_a": (4, 2), "lokr_w2": (4, 4)},
    {"lokr_w1": (3, 4), "lokr_w2": (4, 4)}, {"lokr_w1": (4, 4), "lokr_w2": (4, 5)},
    {"lokr_w1": (16,), "lokr_w2": (1, 1)}, {"lokr_w1": (4, 4), "lokr_w2": (4,)},
    {"lokr_w1": (4, 4, 1), "lokr_w2": (4, 4)},
    {"lokr_w1": (4, 4), "lokr_t2": (2, 2, 1, 1), "lokr_w2_a": (3, 4), "lokr_w2_b": (2, 4)},
    {"lokr_w1": (4, 4), "lokr_t2": (2, 2), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 4)},
    {"lokr_w1": (4, 4), "lokr_w2_a": (4, 2), "lokr_w2_b": (3, 4)}, {"diff": (16, 8)}, {"diff": (256,)},
    {"diff": ()},
]  # fmt: skip


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_parts_that_make_no_update(tmp_path: Path, parts: dict[str, tuple[int, ...]]) -> None:
    tensors = {f"{LAYER}.{part}": torch.ones(shape) for part, shape in parts.items()}
    others = {name: tensor for name, tensor in TENSORS.items() if "to_q" not in name}
    refused(tmp_path / "a.safetensors", to_bytes({**others, **tensors}))
