"""The pictures that a base looks at, as it is shown them.

references = encode_references(guard, request.references, images)
text = replace(text, references=references)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allaprima.core.errors import RequestError
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base
from allaprima.paint.pipeline.image_cache import ImageCache


def encode_references(base: Base, references: Sequence[Reference], images: ImageCache) -> tuple[Tensor, ...]:
    """Return the clean latents (1, C, h, w) of each of `references`; nothing for a base that looks at none.

    As in Flux2KleinPipeline of diffusers, sides are cut around the middle to what the base can encode.

    Args:
        base: what is painted with, perhaps under a guard.
        references: with their pixels.
        images: pictures that were encoded before.
    """
    if not base.traits.reads_references:
        return ()
    latents = []
    for reference in references:
        assert reference.pixels is not None, "`check_pixels` has seen to it"
        key = (reference.pixels.width, reference.pixels.rgb)
        latents.append(images.encode(base, _cut_pixels(reference, base.stride), key))
    return tuple(latents)


def check_pixels(base: Base, request: GenerationRequest) -> None:
    """Raise RequestError if `base` is to look at a picture of which only the digest is known."""
    missing = [one.digest for one in request.references if one.pixels is None]
    if missing and base.traits.reads_references:
        raise RequestError(
            f"the picture was painted looking at another, {missing[0][:12]}, which no file carries along; "
            "expected it again, as --reference FILE",
            field="references",
        )


def remarks_on_references(base: Base, request: GenerationRequest) -> tuple[str, ...]:
    """Return a sentence for pictures that the base does not look at."""
    count = len(request.references)
    if not count or base.traits.reads_references:
        return ()
    return (
        f"the {'reference does' if count == 1 else f'{count} references do'} nothing: {base.name} looks at none",
    )


def _cut_pixels(reference: Reference, stride: int) -> Tensor:
    """Return (1, 3, height, width) pixels in [0, 1], whose sides are multiples of `stride`."""
    pixels = reference.pixels
    assert pixels is not None
    height, width = (side // stride * stride for side in (pixels.height, pixels.width))
    top, left = (pixels.height - height) // 2, (pixels.width - width) // 2
    rows = torch.frombuffer(bytearray(pixels.rgb), dtype=torch.uint8)
    whole = rows.view(1, pixels.height, pixels.width, 3).permute(0, 3, 1, 2)
    return whole[..., top : top + height, left : left + width].float() / 255.0
