from __future__ import annotations

from tests.tiny_klein import transformer as klein
from tests.tiny_loras import qwen_networks, sdxl_networks
from tests.tiny_z_image import transformer as z_image
from torch import nn

from allaprima.paint.memory.blocks import find_blocks


def test_the_blocks_of_every_transformer_are_found_and_no_others() -> None:
    found = [find_blocks(network) for network in (klein(), z_image(), qwen_networks()["transformer"])]
    assert [len(blocks) for blocks in found] == [1 + 2, 1 + 1 + 2, 2]
    assert find_blocks(sdxl_networks()["unet"]) == []
    assert find_blocks(nn.ModuleList([nn.Linear(1, 1)])) == []
