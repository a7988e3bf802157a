"""How the text encoder lies on disk: matrices in 8 bits with one scale to a row, the rest as fp32.

Word vectors, too, are rows of a matrix, so every word keeps its own scale. States differ from the fp32 encoder's
by about half a percent.
"""

from __future__ import annotations

import torch

_INT8, _SCALE = ".int8", ".row_scale"
_WHOLE = ("positions.weight",)
"""Matrices too small to be worth packing."""


def pack_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a matrix (R, C) to int8 with scales (R, 1) fp32; the greatest of each row becomes 127."""
    scale = matrix.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127.0
    return (matrix / scale).round().to(torch.int8), scale.float()


def pack_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what to store for an encoder's state dict."""
    stored: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if value.ndim == 2 and name not in _WHOLE:
            stored[name + _INT8], stored[name + _SCALE] = pack_rows(value.detach())
        else:
            stored[name] = value.detach().float().contiguous()
    return stored


def unpack_state(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the fp32 state dict of what :func:`pack_state` stored, in memory of its own.

    Raises:
        KeyError: when a row scale is missing.
    """
    state: dict[str, torch.Tensor] = {}
    for name, value in stored.items():
        if name.endswith(_INT8):
            base = name.removesuffix(_INT8)
            state[base] = value.float().mul_(stored[base + _SCALE])
        elif not name.endswith(_SCALE):
            state[name] = value.clone()  # or a few small tensors would keep the whole file mapped
    return state
