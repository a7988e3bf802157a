"""Moving weights to the device when they are needed, and away again."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import nn

from allaprima.paint.device.offload_hooks import find_hook_registry
from allaprima.paint.memory.blocks import find_blocks


def stream(networks: Sequence[nn.Module], device: torch.device, *, ahead: bool) -> None:
    """Let weights come to `device` layer by layer and leave it again, by diffusers' group offloading.

    Args:
        ahead: fetch the next layer, or the next transformer block, while this one computes, on a stream of its own.
    """
    from diffusers.hooks import apply_group_offloading

    for network in networks:
        by_block = ahead and bool(find_blocks(network))
        apply_group_offloading(
            network,
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level" if by_block else "leaf_level",
            num_blocks_per_group=1 if by_block else None,
            use_stream=ahead and device.type == "cuda",
        )


def stop_streaming(network: nn.Module) -> None:
    """Undo `stream`: the weights stay on the CPU; does nothing to a network that is not streamed."""
    from diffusers.hooks import group_offloading as theirs

    names = (
        theirs._GROUP_OFFLOADING,
        theirs._LAYER_EXECUTION_TRACKER,
        theirs._LAZY_PREFETCH_GROUP_OFFLOADING,
    )
    # Module by module: a network that streams leaf by leaf may have no hook of its own.
    for module in network.modules():
        if (registry := find_hook_registry(module)) is not None:
            for name in names:
                registry.remove_hook(name, recurse=False)


def use_growing_segments() -> None:
    """Let torch's allocator on CUDA grow its segments, which wastes less in gaps; call it before CUDA starts."""
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def are_away(networks: Sequence[nn.Module], device: torch.device) -> bool:
    """Return whether any weight is not on `device`."""
    return any(weight.device.type != device.type for network in networks for weight in network.parameters())


def forget_weights(network: nn.Module) -> None:
    """Free all weights, but keep their shapes and whatever is attached to the layers."""
    for module in network.modules():
        for name, weight in module._parameters.items():
            if weight is not None and not weight.is_meta:
                module._parameters[name] = nn.Parameter(weight.detach().to("meta"), requires_grad=False)


def take_weights(network: nn.Module, fresh: nn.Module) -> None:
    """Give `network` the weights of `fresh`, a network of the same shape."""
    with torch.inference_mode(mode=False):
        network.load_state_dict(fresh.state_dict(), assign=True)
    network.requires_grad_(requires_grad=False)
