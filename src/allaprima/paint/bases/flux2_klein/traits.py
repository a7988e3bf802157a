"""What is the same for all FLUX.2 kleins; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

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
)
