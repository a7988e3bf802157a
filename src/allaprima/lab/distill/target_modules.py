"""Where a LoRA may sit in a network, and which of these places text steers.

On an MMDiT text and picture meet in joint attention: the text's stream is its own projections (`add_q_proj`,
`add_k_proj`, `add_v_proj`, `to_add_out`), its own MLP and modulation (`txt_mlp`, `txt_mod`) and the way in
(`txt_in`). On a UNet they meet in cross-attention (`attn2`), and SDXL also tells every block a pooled vector
(`add_embedding`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from allaprima.lab.distill.network import Network

Sites = Literal["text", "all"]
"""Where a LoRA sits: where text steers, or everywhere."""

_TEXT = re.compile(r"\b(add_[qkv]_proj|to_add_out|txt_mlp|txt_mod|txt_in|attn2|add_embedding)\b")
_KEY = re.compile(r"\b(add_k_proj|attn2\.to_k)\b")
_VALUE = re.compile(r"\b(add_v_proj|attn2\.to_v)\b")


@dataclass(frozen=True, kw_only=True)
class TargetModule:
    """One projection of a network."""

    path: str
    """Its module's path within the network, as diffusers names it."""
    width_in: int
    """What `lora_A` has per rank: inputs, times the kernel's area for a convolution."""
    width_out: int
    """What `lora_B` has per rank."""

    @property
    def text(self) -> bool:
        """Whether text is what goes through it, or what it looks at."""
        return _TEXT.search(self.path) is not None

    @property
    def cost(self) -> int:
        """Parameters per rank."""
        return self.width_in + self.width_out


def find_target_modules(network: Network, sites: Sites = "all") -> tuple[TargetModule, ...]:
    """Return all linear and convolutional layers of a network, or those that text steers, in the network's order."""
    targets = (
        TargetModule(path=path, width_in=module.weight[0].numel(), width_out=len(module.weight))
        for path, module in network.network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    )
    return tuple(target for target in targets if sites == "all" or target.text)


def pattern_ranks(targets: Iterable[TargetModule]) -> dict[str, int]:
    """Return the pattern of the article that Turbo is after: 16 where text enters, 8 for keys, 4 for values.

    The rest of attention, queries and outputs, gets 4 too; on places that text does not steer there is nothing.
    """
    return {target.path: _pattern(target.path) for target in targets if target.text}


def _pattern(path: str) -> int:
    if _KEY.search(path):
        return 8
    return 4 if _VALUE.search(path) or "add_q_proj" in path or "attn2" in path else 16


def uniform_ranks(targets: Iterable[TargetModule], rank: int) -> dict[str, int]:
    """Return the same rank everywhere."""
    return {target.path: rank for target in targets}


def num_parameters(targets: Iterable[TargetModule], ranks: Mapping[str, int]) -> int:
    """Return how many parameters a LoRA of these ranks has."""
    return sum(target.cost * ranks.get(target.path, 0) for target in targets)
