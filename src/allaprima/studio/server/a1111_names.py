"""Samplers, schedulers and checkpoints by the names that A1111 and its forks give them.

Here a base and its schedule decide by which rule a picture is painted. Clients name a sampler all the same, many
without a choice, so every name that A1111 knows is taken and told to be ignored; any other is refused, as there.

Source: the tables of samplers and schedulers in stable-diffusion-webui (modules/sd_samplers_*, sd_schedulers).
"""

from __future__ import annotations

import re

SAMPLER = "Euler"
"""The one that is said to be here."""
_OWN = frozenset({"", "euler", "k_euler", "automatic", "default"})
_SAMPLERS = frozenset({
    "ddim", "ddim cfg++", "ddpm", "deis", "dpm adaptive", "dpm fast", "dpm++ 2m", "dpm++ 2m cfg++", "dpm++ 2m sde",
    "dpm++ 2m sde heun", "dpm++ 2s a", "dpm++ 2s a cfg++", "dpm++ 3m sde", "dpm++ sde", "dpm2", "dpm2 a", "er sde",
    "euler a", "euler a cfg++", "euler cfg++", "euler ancestral", "euler ancestral cfg++", "euler smea",
    "euler smea dy", "flux realistic", "gradient estimation", "heun", "heunpp2", "ipndm", "ipndm_v",
    "kohaku_lonyu_yog",
    "lcm", "lcm trailing", "lms", "plms", "res multistep", "res multistep cfg++", "restart", "sa-solver", "tcd",
    "uni_pc", "uni_pc_bh2", "unipc", "unipc trailing",
    "dpm_2", "dpm_2_a", "dpm_2_ancestral", "dpm_ad", "dpm_adaptive", "dpm_fast", "dpmpp_2m", "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2s_a", "dpmpp_2s_ancestral", "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu", "dpmpp_sde", "dpmpp_sde_gpu", "euler_a", "euler_ancestral", "euler_ancestral_cfg_pp",
    "euler_cfg_pp", "res_multistep",
})  # fmt: skip
"""In lower case, with neither a scheduler's name behind nor `k_` before it."""
_SCHEDULERS = frozenset({
    "align your steps", "align your steps 11", "align your steps 32", "align your steps gits", "align_your_steps",
    "align_your_steps_11", "align_your_steps_32", "align_your_steps_gits", "beta", "beta57", "bong_tangent", "ddim",
    "ddim_uniform", "exponential", "karras", "kl optimal", "kl_optimal", "linear", "linear quadratic",
    "linear_quadratic", "normal", "polyexponential", "sgm uniform", "sgm_uniform", "simple", "turbo", "uniform",
})  # fmt: skip
_AS_SCHEDULES = {
    "karras": "karras", "exponential": "exponential", "uniform": "uniform", "normal": "uniform", "simple": "trailing",
    "sgm uniform": "trailing", "sgm_uniform": "trailing", "ddim": "euler", "ddim_uniform": "euler",
}  # fmt: skip
"""A1111's schedulers to schedules with the same curve; "trailing" is within one of a thousand trained times."""
LABELS = {"karras": "Karras", "exponential": "Exponential", "uniform": "Uniform", "trailing": "SGM Uniform"}
"""Those schedules, by the names that A1111's clients show."""
_AUTOMATIC = frozenset({"", "automatic", "use same scheduler"})
_BEHIND = re.compile(rf"[ _](?:{'|'.join(sorted(map(re.escape, _SCHEDULERS), key=len, reverse=True))})$")


def is_own_sampler(name: str | None) -> bool:
    """Return whether `name` asks for no rule but the base's own."""
    return (name or "").strip().lower() in _OWN


def is_sampler(name: str) -> bool:
    """Return whether A1111 or one of its forks has a sampler `name`, its scheduler behind it or not."""
    plain = name.strip().lower().removeprefix("[forge] ").removeprefix("k_")
    return plain in _OWN or plain in _SAMPLERS or _BEHIND.sub("", plain) in _SAMPLERS | _OWN


def is_automatic(scheduler: str | None) -> bool:
    """Return whether `scheduler` leaves the schedule to the base."""
    return (scheduler or "").strip().lower() in _AUTOMATIC


def is_scheduler(name: str) -> bool:
    """Return whether A1111 or one of its forks has a scheduler `name`."""
    return name.strip().lower() in _SCHEDULERS


def find_schedule(scheduler: str | None, sampler: str | None) -> str | None:
    """Return the schedule of a base that stands for one of A1111's schedulers, None where none does.

    Args:
        scheduler: its name; where that is automatic, the one behind the sampler's counts, as in "DPM++ 2M Karras".
        sampler: the sampler's name.
    """
    name = (scheduler or "").strip().lower()
    if name in _AUTOMATIC:
        behind = _BEHIND.search((sampler or "").strip().lower())
        name = behind[0].strip(" _") if behind else ""
    return _AS_SCHEDULES.get(name)


def plain_checkpoint(name: str) -> str:
    """Return the name of a checkpoint without the hash and the ending that A1111 shows with it."""
    return (
        re.sub(r"\s*\[[0-9a-fA-F]{6,64}\]$", "", name.strip())
        .removesuffix(".safetensors")
        .removesuffix(".ckpt")
    )
