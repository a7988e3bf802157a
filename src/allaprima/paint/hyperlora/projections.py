"""Which layers a predicted LoRA changes: the projections of a denoiser's attention, and none else.

HyperLoRA (arXiv:2503.16944) leaves feed-forward layers and text encoders alone. On SDXL these are 560 layers of 140
attentions, on Qwen-Image 480 layers of 60.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from allaprima.core.errors import LoraError

DENOISERS = ("transformer", "unet")
"""The networks of `Base.modules()` that a predicted LoRA changes."""

_ATTENTION = re.compile(r"(^|\.)attn\d?\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)$")


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One linear layer of an attention."""

    key: str
    """The network's name, a dot, and the module's path, as in `Lora.updates`."""
    in_features: int
    out_features: int

    def num_parameters(self, rank: int) -> int:
        """Return how many numbers a LoRA of `rank` has on it."""
        return rank * (self.in_features + self.out_features)


def attention_projections(networks: Mapping[str, nn.Module]) -> tuple[Projection, ...]:
    """Return the projections of the denoiser among `networks`, in its own order.

    Raises:
        LoraError: there is no attention that diffusers' names tell.
    """
    found = tuple(
        Projection(key=f"{name}.{path}", in_features=layer.in_features, out_features=layer.out_features)
        for name in DENOISERS
        if name in networks
        for path, layer in networks[name].named_modules()
        if isinstance(layer, nn.Linear) and _ATTENTION.search(path)
    )
    if not found:
        raise LoraError(
            f"got {', '.join(networks) or 'no network'} without an attention; expected a denoiser whose layers have "
            "diffusers' names"
        )
    return found
