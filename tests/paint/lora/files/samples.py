"""Networks by family, single layers of SDXL, and tensors for them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tests.tiny_loras import (
    Networks,
    changed,
    qwen_networks,
    sdxl_networks,
)
from torch import Tensor

from allaprima.paint.lora.files.algebra import scaled
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.update import LowRank

FAMILIES = {"sdxl": sdxl_networks, "qwen-image": qwen_networks}


def same_updates(got: Lora, updates: Mapping[str, LowRank]) -> None:
    assert got.updates.keys() == updates.keys()
    for key, update in got.updates.items():
        assert isinstance(update, LowRank)
        assert torch.equal(update.down, updates[key].down), key
        assert torch.equal(scaled(update.up, update.scale), updates[key].up), key


def layer_shape(key: str) -> tuple[int, ...]:
    return Layers(sdxl_networks()).by_key[key].shape


CONV = "unet.down_blocks.0.resnets.0.conv1"
LINEAR = "unet.down_blocks.1.attentions.0.proj_in"


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def through_diffusers(mixin: type, networks: Networks, tensors: dict[str, Tensor]) -> Networks:
    """Return copies of the networks with the file loaded by diffusers."""
    copies = changed(networks, {})
    if "unet" in copies:
        state, alphas = mixin.lora_state_dict(dict(tensors), unet_config=copies["unet"].config)  # type: ignore[attr-defined]
        mixin.load_lora_into_unet(state, network_alphas=alphas, unet=copies["unet"])  # type: ignore[attr-defined]
        for name in ("text_encoder", "text_encoder_2"):
            if any(key.startswith(f"{name}.") for key in state):
                mixin.load_lora_into_text_encoder(  # type: ignore[attr-defined]
                    state, network_alphas=alphas, text_encoder=copies[name], prefix=name
                )
    else:
        state = mixin.lora_state_dict(dict(tensors))  # type: ignore[attr-defined]
        mixin.load_lora_into_transformer(state, transformer=copies["transformer"])  # type: ignore[attr-defined]
    return copies
