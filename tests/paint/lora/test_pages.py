from __future__ import annotations

import torch

from allaprima.paint.lora.pages import HUGE, empty_block, empty_tensor_like


def test_large_blocks_are_whole_and_writable() -> None:
    for num_bytes in (0, 100, 5 * HUGE + 3):
        block = empty_block(num_bytes, torch.device("cpu"))
        assert block.shape == (num_bytes,)
        assert int(block.fill_(7).sum()) == 7 * num_bytes
    like = torch.empty(2, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    assert empty_tensor_like(like).stride() == like.stride()
