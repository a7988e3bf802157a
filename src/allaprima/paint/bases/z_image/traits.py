"""What is the same for all Z-Images; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.traits import BaseTraits

PIPELINES = ("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline")
"""Pipelines over the parts of Z-Image, the plain one first: whichever saved a folder, its parts are read alike."""

TRAITS = BaseTraits(
    family="z-image",
    defaults=RequestDefaults(width=1024, height=1024, steps=8, guidance=1.0),
    prompt_tokens=128,
    stride=16,
    encodes_separately=True,
    skippable_blocks="layers",
)
