"""What is the same for all SDXLs; see :class:`allaprima.paint.contract.traits.BaseTraits`."""

from __future__ import annotations

from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.contract.traits import BaseTraits

PORTION = 256 * 2**20
"""Bytes of a file that are mapped at a time while its tensors are converted."""

PIPELINES = (
    "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPAGPipeline", "StableDiffusionXLPAGImg2ImgPipeline", "StableDiffusionXLPAGInpaintPipeline",
    "StableDiffusionXLControlNetPipeline", "StableDiffusionXLControlNetImg2ImgPipeline",
    "StableDiffusionXLControlNetInpaintPipeline", "StableDiffusionXLAdapterPipeline",
)  # fmt: skip
"""Pipelines over the parts of SDXL, the plain one first: whichever saved a folder, its parts are read alike."""

TRAITS = BaseTraits(
    family="sdxl",
    defaults=RequestDefaults(width=1024, height=1024, steps=30, guidance=5.0),
    prompt_tokens=77,
    schedules=(
        "lcm",
        "dmd2",
        "turbo",
        "trailing",
        "ddim",
        "tcd",
        "tcd-full-noise",
        "euler",
        "karras",
        "exponential",
        "uniform",
        "v-prediction",
        "v-prediction-zsnr",
    ),
    english_only=True,
    encodes_separately=True,
    read_portion_bytes=PORTION,
)
