"""What diffusers and accelerate leave on a module is seen, whatever they called it."""

from __future__ import annotations

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from allaprima.paint.device.offload_hooks import find_hook_registry, has_offload_hook
from allaprima.paint.memory.offload import stop_streaming, stream


def test_a_plain_module_has_none() -> None:
    module = nn.Linear(2, 2)
    assert not has_offload_hook(module)
    assert find_hook_registry(module) is None
    stop_streaming(module)


def test_a_module_of_accelerate_has_a_hook_and_no_registry() -> None:
    module = nn.Linear(2, 2)
    add_hook_to_module(module, ModelHook())
    assert has_offload_hook(module)
    assert find_hook_registry(module) is None


def test_a_streamed_layer_has_both() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    stream([network], torch.device("cpu"), ahead=False)
    assert has_offload_hook(network[0])
    assert find_hook_registry(network[0]) is not None


def test_hooks_that_skip_blocks_move_nothing() -> None:
    blocks = nn.ModuleList(BasicTransformerBlock(8, 2, 4) for _ in range(3))
    apply_first_block_cache(nn.ModuleDict({"blocks": blocks}), FirstBlockCacheConfig())
    assert not any(map(has_offload_hook, blocks))
    stream([blocks], torch.device("cpu"), ahead=False)
    assert any(map(has_offload_hook, blocks.modules()))
