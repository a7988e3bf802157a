"""A LoRA as a picture was painted with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
"""The networks that people know by other names than diffusers', as ComfyUI writes them."""


@dataclass(frozen=True, kw_only=True)
class PaintedLora:
    """A LoRA that had a part in a picture."""

    name: str
    """Its name in the folder of LoRAs."""
    weight: float
    """How strongly it acted."""
    parts: tuple[str, ...] = ()
    """The networks that it changed: "unet", "clip_l", "clip_g" or "transformer"."""
    hash: str | None = None
    """What sites and managers know its file by; None where that is not known."""
    accelerator: str | None = None
    """The title of the public accelerator that it was recognised as."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; `accelerator` is there where one was recognised."""
        known = {} if self.accelerator is None else {"accelerator": self.accelerator}
        return {
            "name": self.name,
            "weight": self.weight,
            "hash": self.hash,
            "parts": list(self.parts),
            **known,
        }


def parts_of(layers: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of the networks that `layers`, whose keys begin with a network, belong to."""
    networks = dict.fromkeys(key.partition(".")[0] for key in layers)
    # In this order the denoiser comes first: unet, clip_l, clip_g.
    return tuple(sorted((PARTS.get(network, network) for network in networks), reverse=True))


def hashes_of(loras: Sequence[PaintedLora]) -> dict[str, str]:
    """Return, by name, what is known of the files of `loras`."""
    return {lora.name: lora.hash for lora in loras if lora.hash is not None}
