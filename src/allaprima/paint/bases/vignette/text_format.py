"""The text encoder's file format: matrices in 8 bits with a scale per row, the rest in fp32.

Word vectors are rows of a matrix too, so every word has its own scale. States differ from those of the fp32 encoder
by about half a percent.
"""

from __future__ import annotations

import torch

_INT8, _SCALE = ".int8", ".row_scale"
_WHOLE = ("positions.weight",)
"""Matrices that are too small to be worth packing."""


def pack_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a matrix (R, C) to int8 with scales (R, 1) fp32; the greatest of each row becomes 127."""
    scale = matrix.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127.0
    return (matrix / scale).round().to(torch.int8), scale.float()


def pack_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors to store for an encoder's state dict."""
    stored: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if value.ndim == 2 and name not in _WHOLE:
            stored[name + _INT8], stored[name + _SCALE] = pack_rows(value.detach())
        else:
            stored[name] = value.detach().float().contiguous()
    return stored


def unpack_state(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the fp32 state dict of the tensors that :func:`pack_state` made, in memory of its own."""
    state: dict[str, torch.Tensor] = {}
    for name, value in stored.items():
        if name.endswith(_INT8):
            base = name.removesuffix(_INT8)
            state[base] = value.float().mul_(stored[base + _SCALE])
        elif not name.endswith(_SCALE):
            state[name] = value.clone()  # so that a few small tensors do not keep the file mapped
    return state
