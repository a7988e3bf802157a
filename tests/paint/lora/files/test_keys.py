from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    TENSORS,
    refused,
)


@pytest.mark.parametrize(
    ("key", "words"),
    {
        "attn.to_q.wd_for_diff": "a DoRA of the change alone",
        "attn.to_q.bora_scale_r": "BoRA",
        "attn.to_q.lora_A.bias": "bias between the halves",
        "attn.to_q.oft_blocks": "OFT",
        "attn.to_q.oft_R.default.weight": "OFT",
        "attn.to_q.ia3_l": "IA3",
        "attn.to_q.a1.weight": "GLoRA",
        "attn.to_q.lora_embedding_A": "embedding",
        "attn.norm_q.set_weight": "replacement",
        "attn.norm_q.reshape_weight": "replacement",
    }.items(),
)
def test_parts_that_cannot_be_left_out(tmp_path: Path, key: str, words: str) -> None:
    refused(
        tmp_path / "a.safetensors",
        to_bytes({**TENSORS, f"transformer_blocks.0.{key}": torch.ones(16)}),
        words,
    )
