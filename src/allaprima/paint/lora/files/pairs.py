"""Tensors that are used as they lie in the file: the two halves of a layer's update, and perhaps an alpha."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from allaprima.paint.lora.files.adapter_config import AdapterConfig
from allaprima.paint.lora.files.header import TensorLayout
from allaprima.paint.lora.files.layer_keys import LayerKeys
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.update_builder import MAX_CHANGE
from allaprima.paint.lora.files.weight_file import WeightFile
from allaprima.paint.lora.update import LowRank, Update


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two halves whose shapes fit one layer."""

    layer: str
    """The layer's key."""
    down: str
    """The file's key of the first half."""
    up: str
    """The file's key of the second half."""
    alpha: str | None
    """The file's key of the alpha, if there is one."""
    rank: int


def find_pairs(keys: LayerKeys, layout: TensorLayout, layers: Layers) -> dict[str, Pair]:
    """Return the pairs of a layout by layer, as its shapes show them."""
    pairs = {}
    for key, roles in keys.by_layer.items():
        if not {"down", "up"} <= roles.keys() <= {"down", "up", "alpha"}:
            continue
        shape, alpha = layers.get(key).shape, roles.get("alpha")
        down, up = (layout.entries[roles[half]].shape for half in ("down", "up"))
        fits = len(down) > 1 and down[1:] == shape[1:] and up == (shape[0], down[0], *(1 for _ in shape[2:]))
        if fits and (alpha is None or math.prod(layout.entries[alpha].shape) == 1):
            pairs[key] = Pair(layer=key, down=roles["down"], up=roles["up"], alpha=alpha, rank=down[0])
    return pairs


def updates_of(
    pairs: tuple[Pair, ...], file: WeightFile, configs: Mapping[str, AdapterConfig]
) -> tuple[dict[str, Update], list[str]]:
    """Return the updates of `pairs`, and the layers whose numbers may be too large and have to be looked at."""
    tensors = file.tensors
    unscaled = all(config == AdapterConfig() for config in configs.values())
    updates: dict[str, Update] = {}
    doubtful = []
    bound = max(1.0, file.largest) ** 2 if file.largest < MAX_CHANGE else MAX_CHANGE
    for pair in pairs:
        scale = 1.0
        if pair.alpha is not None:
            scale = float(tensors[pair.alpha]) / pair.rank
        elif not unscaled:
            network, _, module = pair.layer.partition(".")
            scale = configs[network].scale(module, pair.rank)
        if abs(scale) * pair.rank**2 * bound <= MAX_CHANGE:
            updates[pair.layer] = LowRank(down=tensors[pair.down], up=tensors[pair.up], scale=scale)
        else:
            doubtful.append(pair.layer)
    return updates, doubtful
