"""What is the same for all FLUX.2 kleins; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

from dataclasses import replace

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.traits import BaseTraits

PIPELINES = ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline")
"""Pipelines over the parts of klein, the plain one first: whichever saved a folder, its parts are read alike."""

TRAITS = BaseTraits(
    family="flux2-klein",
    defaults=RequestDefaults(width=1024, height=1024, steps=4, guidance=1.0),
    prompt_tokens=512,
    stride=16,
    encodes_separately=True,
    reads_references=True,
    skippable_blocks="single_transformer_blocks",
)

UNDISTILLED = replace(TRAITS.defaults, steps=50, guidance=4.0)
"""What FLUX.2 klein base paints with, which was not distilled."""

TEXT_LAYERS = (9, 18, 27)
"""After how many of Qwen3's layers its states are read."""
