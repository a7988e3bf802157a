"""One weight as its file keeps it, and as numbers again.

weight = StoredWeight(data=tensor, format="fp8", shape=(3072, 3072), scale=scale)
weight.dequantize(torch.bfloat16)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.paint.quantization.formats import FORMATS, GGUF_BLOCKS, NF4_BLOCK
from allaprima.paint.quantization.gguf_blocks import dequantize_blocks

FP8_DTYPES = (torch.float8_e4m3fn, torch.float8_e5m2)
CHUNK = 2**20
"""Numbers that are dequantised at once on a CPU, so that what lies between stays in its cache."""
CHUNK_ELSEWHERE = 2**24
"""The same on other devices, which are slow at starting small pieces of work."""

NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""Appendix E of QLoRA (arXiv:2305.14314)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredWeight:
    """A tensor of a weight file."""

    data: Tensor
    """As it lies in the file: floats, fp8 or int8 of `shape`; bytes (uint8) of any shape for nf4 and GGUF."""
    format: str
    """One of `formats.FORMATS`."""
    shape: tuple[int, ...]
    """Of the dequantised weight."""
    scale: Tensor | None = None
    """What the weight is multiplied with: one number, or one a row; for nf4 one for each 64 numbers."""

    def __post_init__(self) -> None:
        """Refuse data and scales that cannot make a weight of this shape."""
        if self.format not in FORMATS:
            raise WeightsError(
                f"got a weight in the format {self.format[:40]!r}; expected {', '.join(FORMATS)}"
            )
        _check_data(self)
        if self.scale is not None and self.scale.numel() not in _scale_sizes(self.format, self.shape):
            raise WeightsError(
                f"got {self.scale.numel():,} scales for a weight of shape {self.shape} in the format {self.format}; "
                f"expected {' or '.join(f'{size:,}' for size in _scale_sizes(self.format, self.shape)) or 'none'}"
            )
        if self.scale is None and self.format in ("int8", "nf4"):
            raise WeightsError(f"got a weight in the format {self.format} without its scale; expected both")

    @property
    def is_plain(self) -> bool:
        """Whether the data are the weight itself."""
        return self.format == "plain"

    @property
    def nbytes(self) -> int:
        """What data and scale take."""
        return self.data.nbytes + (0 if self.scale is None else self.scale.nbytes)

    def dequantize(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Tensor:
        """Return the weight itself, on `device` (None: where its data are), rounded to `dtype` once."""
        data = self.data if device is None else self.data.to(device)
        if self.is_plain:
            return data.to(dtype)
        scale = None if self.scale is None else self.scale.to(data.device)
        return dequantize(data.reshape(-1), self.format, self.shape, scale, dtype)


def dequantize(
    data: Tensor, stored: str, shape: tuple[int, ...], scale: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Return the weight of `shape` that flat `data` in the format `stored` stand for, a chunk at a time."""
    if stored == "fp8" and scale is None:
        return data.view(shape).to(dtype)
    out = torch.empty(math.prod(shape), dtype=dtype, device=data.device)
    if data.is_meta or not out.numel():
        return out.view(shape)
    width, row, per_scale = _piece(stored, shape, scale)
    count = max(1, (CHUNK if data.device.type == "cpu" else CHUNK_ELSEWHERE) // width)
    scales = None if scale is None else scale.reshape(-1, 1).float()
    for begin in range(0, out.numel() // width, count):
        end = begin + count
        numbers = _numbers(data[begin * row : end * row], stored, width)
        if scales is not None:
            numbers = numbers * (scales[begin:end] if per_scale else scales)
        out[begin * width : begin * width + numbers.numel()] = numbers.view(-1)
    return out.view(shape)


def _numbers(data: Tensor, stored: str, width: int) -> Tensor:
    """Return pieces (N, width) of the weight before it is scaled."""
    if stored in GGUF_BLOCKS:
        return dequantize_blocks(stored, data.view(-1, GGUF_BLOCKS[stored][1])).view(-1, width)
    if stored == "nf4":
        levels = torch.tensor(NF4_LEVELS, device=data.device)
        return levels[torch.stack([data >> 4, data & 15], dim=-1).int()].view(-1, width)
    return data.view(-1, width).float()


def _piece(stored: str, shape: tuple[int, ...], scale: Tensor | None) -> tuple[int, int, bool]:
    """Return how many numbers are dequantised as one, in how many items of data, and whether each has a scale."""
    if stored in GGUF_BLOCKS:
        return (*GGUF_BLOCKS[stored], False)
    if stored == "nf4":
        return NF4_BLOCK, NF4_BLOCK // 2, True
    width = math.prod(shape[1:])
    return width, width, scale is not None and scale.numel() > 1


def _scale_sizes(stored: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if stored == "nf4":
        return (math.prod(shape) // NF4_BLOCK,)
    return tuple(dict.fromkeys((1, shape[0] if shape else 1))) if stored in ("fp8", "int8") else ()


def _check_data(weight: StoredWeight) -> None:
    """Refuse data of another number format or size than the format's."""
    data, stored, shape = weight.data, weight.format, weight.shape
    total = math.prod(shape)
    if stored in GGUF_BLOCKS or stored == "nf4":
        numbers, size = GGUF_BLOCKS.get(stored, (NF4_BLOCK, NF4_BLOCK // 2))
        whole = total % numbers == 0 and data.numel() == total // numbers * size
        fits, expected = (
            data.dtype == torch.uint8 and whole,
            f"whole blocks of {size} bytes to {numbers} numbers",
        )
    else:
        kinds = {"fp8": data.dtype in FP8_DTYPES, "int8": data.dtype == torch.int8}
        fits = kinds.get(stored, True) and tuple(data.shape) == shape
        expected = f"a tensor of that shape in the format {stored}"
    if not fits:
        raise WeightsError(
            f"got {data.dtype} of shape {tuple(data.shape)} for a weight of shape {shape} in "
            f"the format {stored}; expected {expected}"
        )
