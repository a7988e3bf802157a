"""Products in int8 and fp8 that are quicker than dequantising, on devices that have them.

A row of the input is scaled to the range of the narrow format and rounded; the sums are exact (int8) or float32 (fp8)
and are multiplied with the scales of row and weight. No row depends on another, so a picture does not depend on its
neighbours in a batch.

Measured on one core of an AMD EPYC with AVX512-VNNI, CPU time of SDXL's linear layers at 512 pixels: int8 takes 0.64
to 0.77 of the time of bf16, and 0.25 to 0.6 of that of float32 (benchmarks/files.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from allaprima.paint.device.precision import multiplies_fp8, multiplies_int8

QuickProduct = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""(input (..., in), weight (out, in), scale (1,) or (out,), bias (out,)) -> output (..., out)."""

_TINY = 1e-12
"""So that a row of zeros is not divided by zero."""
_E4M3_MAX = 448.0
CACHED = 2**20
"""Sums scaled at once on a CPU: few enough for its cache, and many, since its threads wait for each other."""


def find_product(stored: str, x: Tensor, num_out: int) -> QuickProduct | None:
    """Return the quick product of `x` (..., in) with a weight (num_out, in) `stored` so; None where there is none."""
    kind, index, width = x.device.type, x.device.index, x.shape[-1]
    if stored == "int8" and _has_int8(kind, index):
        # cuBLAS takes sides of whole eights, and more than 16 rows.
        fits = kind == "cpu" or (width % 8 == num_out % 8 == 0 and x.numel() > 16 * width)
        return int8_product if fits else None
    if stored == "fp8" and _has_fp8(kind, index) and width % 16 == num_out % 16 == 0:
        return fp8_product
    return None


def int8_product(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the product of a row-wise rounded `x` with an int8 `weight`."""
    rows, steps = _scaled_rows(x, 127.0)
    whole = rows.round_().to(torch.int8)
    out = torch.empty(len(whole), len(weight), dtype=x.dtype, device=x.device)
    # Columns by columns on a CPU, so that the sums are scaled while they are in its cache.
    width = max(64, CACHED // max(1, len(whole)) // 64 * 64) if x.device.type == "cpu" else len(weight)
    for begin in range(0, len(weight), width):
        part = slice(begin, begin + width)
        sums = torch._int_mm(whole, weight[part].t())
        out[:, part] = _scaled(sums, steps, _part(scale, part), None if bias is None else bias[part])
    return out.view(*x.shape[:-1], len(weight))


def fp8_product(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the product of a row-wise rounded `x` with an fp8 `weight`."""
    rows, steps = _scaled_rows(x, _E4M3_MAX)
    one = torch.ones((), device=x.device)
    narrow = rows.to(torch.float8_e4m3fn)
    sums = torch._scaled_mm(narrow, weight.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)
    return _scaled(sums, steps, scale, bias).to(x.dtype).view(*x.shape[:-1], len(weight))


def _scaled_rows(x: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Return the rows of `x` (..., in), float32, scaled, each with `most` as its largest number, and the scales."""
    rows = x.reshape(-1, x.shape[-1])
    # Not `vector_norm`: on a CPU it takes ten times as long.
    largest = rows.abs().amax(1, keepdim=True).float().clamp_min_(_TINY)
    return rows * (most / largest), largest / most


def _scaled(sums: Tensor, steps: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return `sums` (rows, out) times the scales of rows and weight, plus the bias, float32."""
    out = sums * steps
    if scale is not None and bias is not None:
        return torch.addcmul(bias.float(), out, scale)
    if scale is not None:
        out *= scale
    if bias is not None:
        out += bias
    return out


def _part(scale: Tensor | None, part: slice) -> Tensor | None:
    return scale if scale is None or scale.numel() == 1 else scale[part]


@cache
def _has_int8(kind: str, index: int | None) -> bool:
    return multiplies_int8(f"{kind}:{index or 0}")


@cache
def _has_fp8(kind: str, index: int | None) -> bool:
    return multiplies_fp8(f"{kind}:{index or 0}")
