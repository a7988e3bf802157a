"""From the tensors that a file holds for a layer's bias, or for a norm, to what is added to them.

    diff_b, b_norm    the change of a bias itself
    w_norm, diff      the change of a norm's weight itself
    up_bias           the bias of a LoRA's second half, which counts alpha / rank times (PEFT's `lora_bias`)

Sources: LyCORIS's modules `norms` and `full`; ComfyUI's `diff` patches; PEFT's `lora_bias`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allaprima.paint.lora.files.algebra import MisfitError
from allaprima.paint.lora.files.layers import Layer

_OF_BIAS = ("diff_b", "b_norm", "up_bias")
_OF_NORM = ("w_norm", "diff")


def split_roles(roles: Mapping[str, str], layer: Layer) -> tuple[dict[str, str], dict[str, str]]:
    """Return the keys by role of a layer's matrix, and of its vectors.

    Raises:
        MisfitError: the bias of a half that is not there.
    """
    if "up_bias" in roles and "up" not in roles:
        raise MisfitError("got the bias of a second half without that half; expected both halves")
    of_vectors = (*_OF_BIAS, *_OF_NORM) if len(layer.shape) == 1 else (*_OF_BIAS, "w_norm")
    return (
        {role: key for role, key in roles.items() if role not in of_vectors},
        {role: key for role, key in roles.items() if role in of_vectors},
    )


def vectors_from(parts: Mapping[str, Tensor], layer: Layer, up_scale: float) -> dict[str, Tensor]:
    """Return what is added to the parameters of `layer`, by their full names.

    Args:
        parts: tensors by role.
        layer: where they belong.
        up_scale: what `up_bias` counts.

    Raises:
        MisfitError: the layer has no such parameter, or one of another size.
    """
    vectors: dict[str, Tensor] = {}
    for role, part in parts.items():
        attribute = "bias" if role in _OF_BIAS else "weight"
        if attribute == "weight" and len(layer.shape) > 1:
            raise MisfitError(f"got {role}, a norm's, for a layer that is none; expected a norm")
        expected = layer.bias if attribute == "bias" else layer.shape[0]
        if not expected:
            raise MisfitError(f"got {role}, a change of a bias; expected none, for the layer has no bias")
        if part.numel() != expected:
            raise MisfitError(f"got {part.numel()} numbers in {role}; expected {expected}")
        key = f"{layer.key}.{attribute}"
        if key in vectors:
            raise MisfitError(f"got {role} beside another change of the same {attribute}; expected one")
        vectors[key] = part.flatten().float() * (up_scale if role == "up_bias" else 1.0)
    if layer.parts and vectors:  # of a layer that the file keeps as one, only the bias is a vector
        pieces = torch.split(vectors[f"{layer.key}.bias"], [part.bias for part in layer.parts])
        return {f"{part.key}.bias": piece for part, piece in zip(layer.parts, pieces, strict=True)}
    return vectors
