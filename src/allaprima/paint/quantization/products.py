"""Products in int8 and fp8 that are quicker than dequantising, on devices that have them.

A row of the input is scaled to the range of the narrow format and rounded; the sums are exact (int8) or float32 (fp8)
and are multiplied with the scales of row and weight. No row depends on another, so a picture does not depend on its
neighbours in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from allaprima.paint.device.precision import multiplies_fp8, multiplies_int8

Product = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""(input (..., in), weight (out, in), scale (1,) or (out,), bias (out,)) -> output (..., out)."""

_TINY = 1e-12
"""So that a row of zeros is not divided by zero."""
_E4M3_MAX = 448.0


def find_product(stored: str, device: torch.device) -> Product | None:
    """Return the quick product for weights `stored` so; None where there is none."""
    if stored == "int8" and _has_int8(device.type, device.index):
        return int8_product
    if stored == "fp8" and _has_fp8(device.type, device.index):
        return fp8_product
    return None


def int8_product(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the product of a row-wise rounded `x` with an int8 `weight`."""
    rows = x.reshape(-1, x.shape[-1])
    largest = torch.linalg.vector_norm(rows, float("inf"), dim=1, keepdim=True).float().clamp_min_(_TINY)
    whole = (rows * (127.0 / largest)).round_().to(torch.int8)
    sums = torch._int_mm(whole, weight.t())
    return _scaled(sums, largest / 127.0, scale, bias, x)


def fp8_product(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the product of a row-wise rounded `x` with an fp8 `weight`."""
    rows = x.reshape(-1, x.shape[-1])
    largest = torch.linalg.vector_norm(rows, float("inf"), dim=1, keepdim=True).float().clamp_min_(_TINY)
    narrow = (rows * (_E4M3_MAX / largest)).to(torch.float8_e4m3fn)
    one = torch.ones((), device=x.device)
    sums = torch._scaled_mm(narrow, weight.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)
    return _scaled(sums, largest / _E4M3_MAX, scale, bias, x)


def _scaled(sums: Tensor, steps: Tensor, scale: Tensor | None, bias: Tensor | None, x: Tensor) -> Tensor:
    """Return `sums` (rows, out) times the scales of rows and weight, plus the bias, shaped as the output for `x`."""
    out = sums * steps
    if scale is not None:
        out *= scale
    if bias is not None:
        out += bias
    return out.to(x.dtype).view(*x.shape[:-1], out.shape[1])


@cache
def _has_int8(kind: str, index: int | None) -> bool:
    return multiplies_int8(f"{kind}:{index or 0}")


@cache
def _has_fp8(kind: str, index: int | None) -> bool:
    return multiplies_fp8(f"{kind}:{index or 0}")
