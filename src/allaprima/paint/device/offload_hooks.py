"""The hooks by which offloading libraries mark modules whose weights they move between devices."""

from __future__ import annotations

from typing import Any

from torch import nn

_DIFFUSERS = "_diffusers_hook"
_ACCELERATE = "_hf_hook"
_STEP_CACHES = {"fbc_leader_block_hook", "fbc_block_hook"}
"""diffusers' names of hooks that skip blocks and move nothing."""


def has_offload_hook(module: nn.Module) -> bool:
    """Return whether diffusers or accelerate moves the weights of `module`, or has moved them before."""
    registry = find_hook_registry(module)
    moves = registry is not None and (not registry.hooks or not registry.hooks.keys() <= _STEP_CACHES)
    return moves or _ACCELERATE in vars(module)


def find_hook_registry(module: nn.Module) -> Any | None:
    """Return diffusers' registry of the hooks on `module`, or None if it has none."""
    return vars(module).get(_DIFFUSERS)
