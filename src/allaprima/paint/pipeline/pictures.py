"""From a decoder's tensor to pictures, refusing what is not one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from allaprima.core.errors import PaintError
from allaprima.core.init_image import InitImage
from allaprima.core.layout import PaintedLayout
from allaprima.core.picture import Picture, Rescues
from allaprima.core.request import GenerationRequest


def require_finite(values: torch.Tensor, what: str) -> None:
    """Raise PaintError unless every value is finite, so that no black picture is ever saved as a result."""
    # A sum of finite numbers is finite, unless they are of no picture's size; it is one pass, ten times as quick.
    if math.isfinite(values.sum(dtype=torch.float32).item()):
        return
    finite = torch.isfinite(values)
    if not finite.all():
        share = 1.0 - finite.float().mean().item()
        raise PaintError(
            f"the {what} of the picture stopped being finite numbers ({share:.1%} of them); "
            "the weights may be damaged, or the number format too small for them"
        )


def complete(pictures: Sequence[Picture], init_image: InitImage | None) -> tuple[Picture, ...]:
    """Return pictures that were painted over `init_image`, saying so, each put back where it is a window."""
    if init_image is None:
        return tuple(pictures)
    done = []
    for picture in pictures:
        said = replace(picture, init_strength=init_image.strength, inpaint_area=init_image.area)
        if (whole := init_image.surround) is not None:
            rgb = whole.complete(picture.rgb, picture.width, picture.height)
            said = replace(said, width=whole.width, height=whole.height, rgb=rgb)
        done.append(said)
    return tuple(done)


def to_pictures(
    pixels: torch.Tensor,
    requests: Sequence[GenerationRequest],
    rescues: Rescues | None = None,
    *,
    step_cache: str | None = None,
    layouts: Sequence[PaintedLayout | None] | None = None,
) -> tuple[Picture, ...]:
    """Return the pictures in `pixels`, rounded to 8 bits.

    Args:
        pixels: (B, 3, height, width) floats; values outside [0, 1] are clipped.
        requests: what each was painted from, B of them.
        rescues: what had to be computed again for them.
        step_cache: see `Picture`.
        layouts: what the base was told stands where in each; None where it was told nothing.

    Raises:
        PaintError: a pixel is not finite.
    """
    require_finite(pixels, "pixels")
    height, width = pixels.shape[2:]
    levels = pixels.float().clamp(0, 1).mul(255).round().to(torch.uint8)
    rows = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return tuple(
        Picture(
            request=request,
            width=width,
            height=height,
            rgb=row.tobytes(),
            rescues=rescues or Rescues(),
            step_cache=step_cache,
            painted_layout=layout,
        )
        for request, row, layout in zip(requests, rows, layouts or [None] * len(requests), strict=True)
    )
