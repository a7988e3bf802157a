"""What the parity suite tries: schedulers, pictures, LoRA dialects, layouts of folders and files; plain data.

A case says what stock diffusers is given and what we are given; `parity_bench` paints both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from tests.tiny_loras import DENOISER_ONLY, SPELLINGS

from allaprima.paint.bases.sdxl.scheduling import CLASSES

BETAS: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
}  # fmt: skip
CURVES = (None, "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
SPACINGS = ("linspace", "leading", "trailing")
PREDICTIONS: tuple[dict[str, Any], ...] = (
    {"prediction_type": "v_prediction"},
    {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
)
OTHER_SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "EulerDiscreteScheduler": ({"final_sigmas_type": "sigma_min"}, {"interpolation_type": "log_linear"}),
    "DPMSolverMultistepScheduler": (
        {"algorithm_type": "sde-dpmsolver++"}, {"solver_order": 3}, {"euler_at_final": True},
        {"use_lu_lambdas": True},
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}, {"solver_type": "heun"},
        {"thresholding": True},
    ),
    "DPMSolverSinglestepScheduler": ({"solver_order": 1}, {"lower_order_final": True}),
    "UniPCMultistepScheduler": ({"solver_type": "bh1"}, {"predict_x0": False}, {"disable_corrector": [0]}),
    "DEISMultistepScheduler": ({"solver_order": 3},),
    "DDIMScheduler": ({"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}, {"thresholding": True}),
    "DDPMScheduler": ({"variance_type": "fixed_large"}, {"clip_sample": False}, {"variance_type": "learned_range"}),
    "PNDMScheduler": ({"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1},),
    "LCMScheduler": ({"original_inference_steps": 40}, {"clip_sample": True}, {"timestep_scaling": 5.0}),
    "TCDScheduler": ({"original_inference_steps": 40},),
    "EDMEulerScheduler": ({"sigma_schedule": "exponential", "sigma_data": 1.0, "sigma_max": 120.0},),
    "EDMDPMSolverMultistepScheduler": ({"solver_order": 3}, {"sigma_schedule": "exponential"}),
}  # fmt: skip
NO_SUCH = ("DPMSolverSDEScheduler", "CMStochasticIterativeScheduler", "TheirOwnScheduler")
WEIGHTS = (1.0, 0.5, -0.7)
LAYOUTS = (
    "published", "fp16 variant", "shards", "vocab and merges", "img2img pipeline", "inpaint pipeline",
    "no sample size", "null sample size", "settings of another class", "index names another scheduler",
    "prompts without zeros", "single file", "single file in capitals", "file that predicts v", "file to pure noise",
    "metadata that say v", "projection as a layer", "stray tensors in a file", "plain fp8", "scaled fp8",
    "git-lfs pointers", "no projection", "pruned file", "UNet alone", "pickle",
)  # fmt: skip
"""Folders and files; `parity_layouts` writes each."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    group: str
    """schedulers, settings, pictures, loras or layouts."""
    name: str
    """What it is, for people."""
    scheduler: Mapping[str, Any] | None = None
    """Of both; None for that of the folder."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request."""
    lora: tuple[str, float, float | None] | None = None
    """Dialect, weight and alpha of a LoRA."""
    layout: str | None = None
    """One of `LAYOUTS`."""


def all_cases() -> Iterator[Case]:
    """Yield every case of the suite."""
    yield from scheduler_cases(steps=(1, 4, 30))
    yield from setting_cases()
    yield from picture_cases()
    yield from lora_cases()
    for layout in LAYOUTS:
        yield Case(group="layouts", name=layout, layout=layout, request={"steps": 3, "guidance": 4.0})


def scheduler_cases(steps: tuple[int, ...]) -> Iterator[Case]:
    """Yield every class, spacing and curve at each number of `steps`."""
    for name, spacing, curve, count in product(CLASSES, SPACINGS, CURVES, steps):
        config = {**BETAS, "_class_name": name, "timestep_spacing": spacing, "steps_offset": 1}
        said = f"{name}, {spacing}, {curve or 'as trained'}, {count} steps"
        yield Case(
            group="schedulers",
            name=said,
            scheduler=config | ({curve: True} if curve else {}),
            request={"steps": count},
        )


def setting_cases() -> Iterator[Case]:
    """Yield what single classes read besides, both predictions, and classes that are not painted with."""
    for name, settings in product(CLASSES, PREDICTIONS):
        yield _setting(name, settings)
    for name, known in OTHER_SETTINGS.items():
        for settings in known:
            yield _setting(name, settings)
    for name in NO_SUCH:
        yield _setting(name, {})


def _setting(name: str, settings: Mapping[str, Any]) -> Case:
    said = ", ".join(f"{key} {value}" for key, value in settings.items()) or "no such class"
    config = {**BETAS, "timestep_spacing": "trailing", **settings, "_class_name": name}
    return Case(group="settings", name=f"{name}, {said}", scheduler=config, request={"steps": 5})


def picture_cases() -> Iterator[Case]:
    """Yield prompts, sizes, guidance and seeds."""
    # As many tokens as stock reads, and brackets that are letters to us too: beyond both we are as A1111 is.
    prompts = ("a cat on a rooftop", "w " * 72 + "end", r"Crème \(brulée\), 50% off!")
    sizes = ((64, 64), (64, 96), (96, 48))
    for prompt, size, guidance, negative in product(prompts, sizes, (0.0, 1.0, 7.5), ("", "rain, blurry")):
        request = {
            "prompt": prompt, "width": size[0], "height": size[1], "guidance": guidance, "negative_prompt": negative,
            "steps": 2, "seed": len(prompt),
        }  # fmt: skip
        name = f"{prompt[:12]}, {size[0]}x{size[1]}, guidance {guidance:g}, negative {negative or 'none'}"
        yield Case(group="pictures", name=name, request=request)


def lora_cases() -> Iterator[Case]:
    """Yield every dialect at several weights, with an alpha and without."""
    for dialect, weight, alpha in product(SPELLINGS, WEIGHTS, (None, 1.0)):
        if dialect != "OneTrainer" and (alpha is None or SPELLINGS[dialect][3]):
            part = "denoiser" if dialect in DENOISER_ONLY else "all networks"
            said = "no alpha" if alpha is None else f"alpha {alpha:g}"
            yield Case(
                group="loras",
                name=f"{dialect} ({part}), weight {weight:g}, {said}",
                lora=(dialect, weight, alpha),
                request={"steps": 2},
            )
