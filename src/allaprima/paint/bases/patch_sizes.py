"""Sizes of pictures that a transformer cuts into patches."""

from __future__ import annotations

from allaprima.core.errors import RequestError


def check_patches(width: int, height: int, stride: int) -> None:
    """Raise RequestError for sides that are no multiples of `stride` pixels."""
    if width % stride or height % stride:
        nearest = "x".join(str(max(stride, round(side / stride) * stride)) for side in (width, height))
        raise RequestError(
            f"got size {width}x{height}; expected sides that are multiples of {stride}, such as {nearest}",
            field="size",
        )
