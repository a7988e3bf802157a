"""From the tensors that a file holds for one layer to its update, checked against the layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import AdapterConfig
from allaprima.paint.lora.files.algebra import MisfitError, decomposed, split_rows, swap_halves, update_from
from allaprima.paint.lora.files.keys import shown
from allaprima.paint.lora.files.layer_keys import FileAndBase
from allaprima.paint.lora.files.layers import Layer, Layers
from allaprima.paint.lora.files.map_inputs import widen_inputs
from allaprima.paint.lora.files.vectors import vectors_from
from allaprima.paint.lora.files.weight_file import WeightFile
from allaprima.paint.lora.update import Update

MAX_CHANGE = 1e30
"""The largest change of a weight that is accepted; those of trained files stay far below 1."""


def build_update(
    keys: Mapping[str, str], file: WeightFile, layer: Layer, config: AdapterConfig, about: FileAndBase
) -> Update:
    """Return the update that some tensors of a file make of one layer."""
    where = f"{about.path}: {shown(next(iter(keys.values())))}"
    parts = {role: file.tensors[key] for role, key in keys.items() if role != "alpha"}
    alpha = None
    if "alpha" in keys:
        stored = file.tensors[keys["alpha"]]
        if stored.numel() != 1:
            raise LoraError(f"{where}: got an alpha of shape {tuple(stored.shape)}; expected one number")
        alpha = float(stored)
    down = parts.get("down")
    if layer.without_map and down is not None and down.shape[1:] == (layer.without_map,):
        parts["down"] = widen_inputs(down, layer.shape[1])
    module = layer.key.partition(".")[2]
    lengths = next(((role, parts.pop(role)) for role in ("dora", "magnitude") if role in parts), None)

    def scale_of(rank: int | None) -> float:
        # Where both factors of a LoKr are whole, the alpha that LyCORIS writes means nothing.
        own = None if alpha is None else alpha / (rank or alpha or 1.0)
        scale = config.scale(module, rank) if own is None else own
        times = abs(scale) * (rank or 1) ** 2
        # The largest of all numbers mostly tells and is at hand; each tensor's own has to be looked for.
        at_most = math.prod([max(1.0, file.largest)] * len(parts))
        if (
            not times * at_most <= MAX_CHANGE
            and not times * math.prod(file.peaks[keys[role]] for role in parts) <= MAX_CHANGE
        ):
            raise MisfitError("got numbers so large that weights would overflow; expected a trained LoRA's")
        return scale

    try:
        if lengths is not None and not file.peaks[keys[lengths[0]]] <= MAX_CHANGE:
            raise MisfitError("got lengths so large that weights would overflow; expected a trained DoRA's")
        update = update_from(parts, layer.shape, scale_of)
        return update if lengths is None else decomposed(update, *lengths)
    except MisfitError as error:
        raise LoraError(f"{where}: {error}; {about}") from error


def build_vectors(
    keys: Mapping[str, str], file: WeightFile, layer: Layer, up_scale: float, about: FileAndBase
) -> dict[str, Tensor]:
    """Return what some tensors of a file add to a layer's bias or to a norm, by the parameters' names."""
    where = f"{about.path}: {shown(next(iter(keys.values())))}"
    try:
        if not max(1.0, abs(up_scale)) * max(file.peaks[key] for key in keys.values()) <= MAX_CHANGE:
            raise MisfitError(
                "got numbers so large that a bias or a norm would overflow; expected trained ones"
            )
        return vectors_from({role: file.tensors[key] for role, key in keys.items()}, layer, up_scale)
    except MisfitError as error:
        raise LoraError(f"{where}: {error}; {about}") from error


def split_fused(updates: dict[str, Update], layers: Layers, about: FileAndBase) -> None:
    """Exchange in `updates`, by layer, those of layers that the file keeps as one for those of the base's own."""
    for key in [key for key in updates if key in layers.fused]:
        update, layer = updates.pop(key), layers.fused[key]
        parts = layer.parts
        try:
            pieces = split_rows(update, [part.shape[0] for part in parts])
            pieces = [swap_halves(piece) if layer.is_swapped else piece for piece in pieces]
        except MisfitError as error:
            raise LoraError(f"{about.path}: {key}: {error}; {about}") from error
        for part, piece in zip(parts, pieces, strict=True):
            if part.key in updates:
                raise LoraError(f"{about.path} changes {part.key} twice, once within {key}; expected it once")
            updates[part.key] = piece
