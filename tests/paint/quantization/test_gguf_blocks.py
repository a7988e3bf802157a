"""GGUF's blocks, number by number against the `gguf` package."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from allaprima.paint.quantization.formats import GGUF_BLOCKS
from allaprima.paint.quantization.gguf_blocks import dequantize_blocks


def kind_of(name: str) -> gguf.GGMLQuantizationType:
    return gguf.GGMLQuantizationType[name.removeprefix("gguf-")]


@pytest.mark.parametrize("name", GGUF_BLOCKS)
def test_a_block_has_ggufs_size(name: str) -> None:
    assert gguf.GGML_QUANT_SIZES[kind_of(name)] == GGUF_BLOCKS[name]


@pytest.mark.parametrize("name", GGUF_BLOCKS)
def test_any_bytes_are_the_numbers_that_gguf_reads(name: str) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (200, GGUF_BLOCKS[name][1]), dtype=np.uint8)
    with np.errstate(all="ignore"):  # random bytes hold scales that are infinite or no numbers
        expected = gguf.quants.dequantize(blocks.copy(), kind_of(name))
    numbers = dequantize_blocks(name, torch.from_numpy(blocks)).numpy()
    assert np.isfinite(numbers).mean() > 0.5
    np.testing.assert_array_equal(numbers, expected.reshape(numbers.shape))
