from __future__ import annotations

from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from benchmarks.full_size import full_size_pairs
from benchmarks.hollow import MEDIUM_UNET
from benchmarks.versus_diffusers import Pair, compare

from allaprima.paint.bases.sdxl import published


# At a single step, see `_stages`.
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_qwen_is_painted_by_both_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    small: Any = partial(
        diffusers.QwenImageTransformer2DModel,
        num_layers=2, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    monkeypatch.setattr(diffusers, "QwenImageTransformer2DModel", small)
    names = _run("qwen")
    assert names[0] == "qwen at 32, one step"
    assert names[-1] == "qwen at 64, decode"


# numpy asks torch for a copy in a way that diffusers' schedulers do not answer yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_sdxl_is_painted_by_both_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**MEDIUM_UNET, "block_out_channels": (32, 64, 64), "transformer_layers_per_block": 1}
    monkeypatch.setattr(published, "UNET", {**published.UNET, **small})
    monkeypatch.setattr(published, "AUTOENCODER", {**published.AUTOENCODER, "block_out_channels": (32,) * 4})
    names = _run("sdxl")
    assert names[0] == "sdxl at 32, one step"
    assert names[-1] == "sdxl at 64, decode"


def _run(model: Any) -> list[str]:
    cpu = torch.device("cpu")
    with torch.inference_mode():
        pairs = full_size_pairs(model, cpu, torch.float32, (32, 64), compiled=False)
        return [
            compare(Pair(name=name, stock=stock, ours=ours), runs=1, warm_up=0).name
            for name, stock, ours in pairs
        ]
