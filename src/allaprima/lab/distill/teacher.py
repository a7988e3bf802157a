"""A base set up as a teacher: its network, its prompts, its pictures, and the prompts of the validation."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from allaprima.core.errors import UserError
from allaprima.lab.distill.data import (
    CacheData,
    CacheTexts,
    DistillData,
    PromptData,
    PromptTexts,
    Texts,
    open_caches,
    read_prompts,
    to_device,
)
from allaprima.lab.distill.network import Decode, Network
from allaprima.lab.distill.networks import network_of, wrapper_of
from allaprima.lab.distill.trajectories import Trajectories
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.bases.vignette.base import VignetteBase
from allaprima.paint.contract.base import Base
from allaprima.paint.pipeline.prompt_cache import join_prompts

HELD_OUT = 64
"""Prompts of the validation, kept out of the training."""
_ENCODED_AT_ONCE = 256
"""Prompts that are encoded together."""


@dataclass(frozen=True, kw_only=True)
class TeacherSetup:
    """All a method needs of a base."""

    network: Network
    texts: Texts
    material: DistillData
    validation_prompts: tuple[int, ...]
    """Numbers in `texts`."""
    last: int
    """Prompts below this number may be learned from."""
    shape: tuple[int, int, int]
    """Channels, rows and columns of the latents."""
    family: str
    base_hash: str
    decode: Decode
    """Latents to pixels in [0, 1]."""
    raw_decode: Decode
    """The same with gradients; without clamping for Vignette, while what others clamp passes no gradient back."""


def set_up_teacher(
    base: Base,
    base_hash: str,
    *,
    caches: tuple[Path, ...] = (),
    prompts: Path | None = None,
    trajectories: Path | None = None,
    held_out: int = HELD_OUT,
) -> TeacherSetup:
    """Return a base as a teacher, with what its students learn from.

    Args:
        base: the loaded base; it can encode no prompts afterwards, for its text encoders' weights are let go.
        base_hash: of its weights, for the files that come of it.
        caches: latent caches with real pictures.
        prompts: a file with a prompt per line, instead of caches.
        trajectories: a folder that `prima distill paths` has filled; students then learn from the teacher's ways.
        held_out: prompts of the validation; a quarter of all at most.

    Raises:
        UserError: neither caches nor prompts, or both, or trajectories of something else.
    """
    if bool(caches) == (prompts is not None):
        raise UserError("got both or neither of --cache and --prompts; expected one of them")
    channels, rows, columns = base.noise([0], base.defaults.width, base.defaults.height).shape[1:]
    shape = (channels, rows, columns)
    wrapper = wrapper_of(base)
    device = next(next(iter(base.modules().values())).parameters()).device
    if wrapper.is_small or device.type == "cpu":
        for module in chain(*base.stages().values()):
            module.float()  # small enough to be exact; few processors multiply bf16 anyway
    texts, material, last = _sources(base, caches, prompts, shape, held_out)
    for encoder in base.stages()["text"]:
        encoder.to("meta")  # Qwen-Image's would hold 16.6 GB that the training wants
    if trajectories is not None:
        material = Trajectories.open(trajectories, texts, shape=shape, last=last, base_hash=base_hash)
    return TeacherSetup(
        network=network_of(base),
        texts=texts,
        material=material,
        validation_prompts=tuple(range(last, len(texts), CAPTIONS if caches else 1))[:held_out],
        last=last,
        shape=shape,
        family=base.family,
        base_hash=base_hash,
        decode=wrapper.decoder(base),
        raw_decode=wrapper.raw_decoder(base),
    )


def _sources(
    base: Base, caches: tuple[Path, ...], prompts: Path | None, shape: tuple[int, int, int], max_held_out: int
) -> tuple[Texts, DistillData, int]:
    """Return all prompts, what is learned from, and the number of the first prompt that is held out."""
    if caches:
        with torch.no_grad():
            text_width = base.encode_text([""]).states.shape[-1]
        opened = open_caches(caches, shape, text_width)
        told = tuple(
            CacheTexts(cache=cache, layouts=_layouts(base, folder))
            for cache, folder in zip(opened, caches, strict=True)
        )
        texts = told[0]
        held_out = min(max_held_out, len(opened[0]) // 4)
        return texts, CacheData(texts=told, held_out=held_out), len(texts) - held_out * CAPTIONS
    assert prompts is not None
    encoded = _encode(base, read_prompts(prompts))
    last = len(encoded) - min(max_held_out, len(encoded) // 4)
    return encoded, PromptData(texts=encoded, last=last, shape=shape), last


def _layouts(base: Base, folder: Path) -> ResidentLayouts | None:
    """Return the layouts of a cache's scenes, in main memory, if `base` reads them."""
    if not (isinstance(base, VignetteBase) and base.reads_layout):
        return None
    assert base.denoiser.kind_code is not None
    code = deepcopy(base.denoiser.kind_code).float().cpu()  # the base's own stays where it is
    return ResidentLayouts([folder], base.text, code, torch.device("cpu"))


@torch.no_grad()
def _encode(base: Base, words: list[str]) -> PromptTexts:
    """Return encoded prompts, padded to the longest, in main memory: a device is handed those of one batch."""
    cpu = torch.device("cpu")
    parts = [
        to_device(base.encode_text(words[start : start + _ENCODED_AT_ONCE]), cpu)
        for start in range(0, len(words), _ENCODED_AT_ONCE)
    ]
    nothing = to_device(base.encode_text([""]), cpu)
    return PromptTexts(text=join_prompts(parts), nothing=nothing, words=tuple(words))
