"""What is the same for all Qwen-Images; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.traits import BaseTraits

PIPELINES = ("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline")
"""Pipelines over the parts of Qwen-Image, the plain one first: whichever saved a folder, its parts are read alike."""

TRAITS = BaseTraits(
    family="qwen-image",
    defaults=RequestDefaults(width=1024, height=1024, steps=50, guidance=4.0),
    prompt_tokens=128,
    stride=16,
    schedules=("lightning", "adaptive-cosine"),
    encodes_separately=True,
    skippable_blocks="transformer_blocks",
)
