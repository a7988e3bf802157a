"""GGUF's blocks as numbers, by torch, on whichever device they are.

    numbers = dequantize_blocks("gguf-Q4_K", blocks)  # (N, 144) uint8 -> (N, 256) float32

A block of bytes holds 32 or 256 small integers and what they are to be multiplied with. The layouts are those of
ggml's `ggml-common.h` and `ggml-quants.c`; each function takes a block apart in the order in which its fields lie.
The results equal the `gguf` package's `dequantize`, number by number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from allaprima.paint.quantization.formats import GGUF_BLOCKS

_IQ4_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def dequantize_blocks(name: str, blocks: Tensor) -> Tensor:
    """Return the numbers (N, numbers to a block), float32, of `blocks` (N, bytes to a block), uint8."""
    return _READERS[name](blocks).view(len(blocks), GGUF_BLOCKS[name][0])


def _split(blocks: Tensor, *sizes: int) -> tuple[Tensor, ...]:
    """Return the fields of every block, `sizes` bytes each, and what follows them."""
    rest = blocks.shape[1] - sum(sizes)
    return torch.split(blocks, [*sizes, rest] if rest else [*sizes], dim=1)


def _halves(field: Tensor) -> Tensor:
    """Return float16 numbers (N, n) as float32."""
    return field.contiguous().view(torch.float16).float()


def _shifts(last: int, step: int, like: Tensor) -> Tensor:
    """Return 0, `step`, ... `last` as a column, so that the bits of a byte follow each other in rows."""
    return torch.arange(0, last + 1, step, dtype=torch.uint8, device=like.device).view(-1, 1)


def _nibbles(field: Tensor, width: int) -> Tensor:
    """Return the low, then the high halves of each `width` bytes of (N, n), as (N, n / width, 2, width)."""
    return field.reshape(len(field), -1, 1, width) >> _shifts(4, 4, field) & 15


def _pairs(field: Tensor) -> Tensor:
    """Return the four two-bit numbers of each byte, in turns of 32 bytes: (N, n / 32, 4, 32)."""
    return field.reshape(len(field), -1, 1, 32) >> _shifts(6, 2, field) & 3


def _bits(field: Tensor) -> Tensor:
    """Return the bits of 32 bytes (N, 32): of each byte the lowest first (N, 8, 32)."""
    return field.unsqueeze(1) >> _shifts(7, 1, field) & 1


def _bits_in_order(field: Tensor) -> Tensor:
    """Return the bits of (N, 4) bytes one after the other (N, 32)."""
    return (field.unsqueeze(2) >> _shifts(7, 1, field).view(-1) & 1).flatten(1)


def _bf16(blocks: Tensor) -> Tensor:
    return blocks.contiguous().view(torch.bfloat16).float()


def _q8_0(blocks: Tensor) -> Tensor:
    scale, numbers = _split(blocks, 2)
    return _halves(scale) * numbers.contiguous().view(torch.int8)


def _q4_0(blocks: Tensor) -> Tensor:
    scale, numbers = _split(blocks, 2)
    return _halves(scale) * (_nibbles(numbers, 16).flatten(1).float() - 8)


def _q4_1(blocks: Tensor) -> Tensor:
    scale, low, numbers = _split(blocks, 2, 2)
    return _halves(scale) * _nibbles(numbers, 16).flatten(1) + _halves(low)


def _q5_0(blocks: Tensor) -> Tensor:
    scale, fifth, numbers = _split(blocks, 2, 4)
    return _halves(scale) * (_five_bits(numbers, fifth).float() - 16)


def _q5_1(blocks: Tensor) -> Tensor:
    scale, low, fifth, numbers = _split(blocks, 2, 2, 4)
    return _halves(scale) * _five_bits(numbers, fifth) + _halves(low)


def _five_bits(numbers: Tensor, fifth: Tensor) -> Tensor:
    return _nibbles(numbers, 16).flatten(1) | _bits_in_order(fifth) << 4


def _q2_k(blocks: Tensor) -> Tensor:
    scales, numbers, scale, low = _split(blocks, 16, 64, 2)
    steps, lows = _halves(scale) * (scales & 15), _halves(low) * (scales >> 4)
    return steps.unsqueeze(2) * _pairs(numbers).view(-1, 16, 16) - lows.unsqueeze(2)


def _q3_k(blocks: Tensor) -> Tensor:
    third, numbers, scales, scale = _split(blocks, 32, 64, 12)
    low, high = _nibbles(scales[:, :8], 8).flatten(1), scales[:, 8:].unsqueeze(1) >> _shifts(6, 2, scales) & 3
    steps = _halves(scale) * ((low | high.flatten(1) << 4).float() - 32)
    signed = (_pairs(numbers).flatten(1) | _bits(third).flatten(1) << 2).float() - 4
    return steps.unsqueeze(2) * signed.view(-1, 16, 16)


def _q4_k(blocks: Tensor) -> Tensor:
    scale, low, scales, numbers = _split(blocks, 2, 2, 12)
    steps, lows = _six_bit_scales(scale, low, scales)
    return steps * _nibbles(numbers, 32).view(-1, 8, 32) - lows


def _q5_k(blocks: Tensor) -> Tensor:
    scale, low, scales, fifth, numbers = _split(blocks, 2, 2, 12, 32)
    steps, lows = _six_bit_scales(scale, low, scales)
    return steps * (_nibbles(numbers, 32).view(-1, 8, 32) | _bits(fifth) << 4) - lows


def _six_bit_scales(scale: Tensor, low: Tensor, packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the steps and the lows (N, 8, 1) of the eight parts of a block.

    Twelve bytes hold them: the first four steps and lows in the low six bits of bytes 0 to 7, the others in the
    halves of bytes 8 to 11 with the bits that were left.
    """
    first, second, third = torch.split(packed, 4, dim=1)
    steps = torch.cat([first & 63, third & 15 | first >> 6 << 4], dim=1)
    lows = torch.cat([second & 63, third >> 4 | second >> 6 << 4], dim=1)
    return (_halves(scale) * steps).unsqueeze(2), (_halves(low) * lows).unsqueeze(2)


def _q6_k(blocks: Tensor) -> Tensor:
    numbers, high, scales, scale = _split(blocks, 128, 64, 16)
    signed = (_nibbles(numbers, 64).flatten(1) | _pairs(high).flatten(1) << 4).float() - 32
    steps = _halves(scale) * scales.contiguous().view(torch.int8)
    return steps.unsqueeze(2) * signed.view(-1, 16, 16)


def _iq4_nl(blocks: Tensor) -> Tensor:
    scale, numbers = _split(blocks, 2)
    return _halves(scale) * _levels(_nibbles(numbers, 16)).flatten(1)


def _iq4_xs(blocks: Tensor) -> Tensor:
    scale, high, low, numbers = _split(blocks, 2, 2, 4)
    low = (low.unsqueeze(2) >> _shifts(4, 4, low).view(-1) & 15).flatten(1)
    high = (high.unsqueeze(2) >> _shifts(6, 2, high).view(-1) & 3).flatten(1)
    steps = _halves(scale) * ((low | high << 4).float() - 32)
    return steps.unsqueeze(2) * _levels(_nibbles(numbers, 16)).flatten(2)


def _levels(numbers: Tensor) -> Tensor:
    levels = torch.tensor(_IQ4_LEVELS, dtype=torch.float32, device=numbers.device)
    return levels[numbers.int()]


_READERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gguf-BF16": _bf16, "gguf-Q8_0": _q8_0, "gguf-Q4_0": _q4_0, "gguf-Q4_1": _q4_1, "gguf-Q5_0": _q5_0,
    "gguf-Q5_1": _q5_1, "gguf-IQ4_NL": _iq4_nl, "gguf-IQ4_XS": _iq4_xs, "gguf-Q2_K": _q2_k, "gguf-Q3_K": _q3_k,
    "gguf-Q4_K": _q4_k, "gguf-Q5_K": _q5_k, "gguf-Q6_K": _q6_k,
}  # fmt: skip
