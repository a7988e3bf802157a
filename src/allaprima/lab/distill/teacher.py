"""A base on the bench: its network as a teacher, its prompts, its pictures, its held-out exam."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
)
from allaprima.lab.distill.networks import MMDiT, Network, UNet, Vignette, join, to_device
from allaprima.lab.distill.trajectories import Trajectories
from allaprima.lab.training.latents import CAPTIONS
from allaprima.paint.bases.sdxl.base import SdxlBase
from allaprima.paint.bases.vignette.base import VignetteBase, weights_folder
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.sampling.process import Flow, VariancePreserving

HELD_OUT = 64
"""Prompts of the exam, kept out of the training."""
_READ_AT_ONCE = 256
"""Prompts that are encoded together."""
QWEN_SHIFT = 3.0
"""The static shift that distilled Qwen-Image students are trained and painted with."""


@dataclass(frozen=True, kw_only=True)
class TeacherSetup:
    """All a method needs of a base."""

    network: Network
    texts: Texts
    material: DistillData
    exam_prompts: tuple[int, ...]
    """Numbers in `texts`."""
    last: int
    """Prompts below this number may be learned from."""
    shape: tuple[int, int, int]
    family: str
    base_hash: str
    decode: Callable[[Tensor], Tensor]
    """Latents to pixels in [0, 1]."""
    raw_decode: Callable[[Tensor], Tensor]
    """The same with gradients; without clamping for Vignette, while what others clamp passes no gradient back."""


def network_of(base: Base) -> Network:
    """The network of a loaded base, as a teacher.

    Raises:
        UserError: no method knows this family, or what this model of it predicts.
    """
    modules = base.modules()
    if isinstance(base, VignetteBase):
        return Vignette(modules["transformer"], Flow(shift=base.shift))
    if base.family == "qwen-image":
        return MMDiT(modules["transformer"], Flow(shift=QWEN_SHIFT), base.guidance_rule)
    if isinstance(base, SdxlBase):
        process = VariancePreserving()
        _check_sdxl(base, process)
        return UNet(modules["unet"], process)
    raise UserError(f"got a base of family {base.family!r}; expected vignette, qwen-image or sdxl")


def _check_sdxl(base: SdxlBase, process: VariancePreserving) -> None:
    """Refuse all but plain predictors of noise at SDXL's own levels: another's answers would be read as noise."""
    if (base.prediction, base.guidance_rule) != ("epsilon", "plain"):
        raise UserError(
            f"got {base.name} with prediction {base.prediction!r} and guidance {base.guidance_rule!r}; expected "
            "an SDXL with 'epsilon' and 'plain', such as the published base"
        )
    levels = process.alphas[:-1].numpy()
    if levels.shape != base.scheduler.alphas.shape or not np.allclose(
        levels, base.scheduler.alphas, atol=1e-4
    ):
        raise UserError(
            f"got {base.name} with betas of its own in its scheduler_config.json; expected SDXL's, from "
            f"{process.beta_start} to {process.beta_end} scaled linearly over {process.count} times"
        )


def set_up_teacher(
    base: Base,
    base_hash: str,
    *,
    caches: tuple[Path, ...] = (),
    prompts: Path | None = None,
    paths: Path | None = None,
    held_out: int = HELD_OUT,
) -> TeacherSetup:
    """Put a base on the bench with what its students learn from.

    Args:
        base: the loaded base; it can read no prompts afterwards, for its text encoders' weights are let go.
        base_hash: of its weights, for the files that come of it.
        caches: latent caches with real pictures.
        prompts: a file with a prompt per line, instead of caches.
        paths: a folder that `prima distill paths` has filled; students then learn from the teacher's ways.
        held_out: prompts of the exam; a quarter of all at most.

    Raises:
        UserError: neither caches nor prompts, or both, or paths of something else.
    """
    if bool(caches) == (prompts is not None):
        raise UserError("got both or neither of --cache and --prompts; expected one of them")
    channels, rows, columns = base.noise([0], base.defaults.width, base.defaults.height).shape[1:]
    shape = (channels, rows, columns)
    if isinstance(base, VignetteBase) or _device(base).type == "cpu":
        for module in chain(*base.stages().values()):
            module.float()  # small enough to be exact; few processors multiply bf16 anyway
    texts, material, last = _sources(base, caches, prompts, shape, held_out)
    for encoder in base.stages()["text"]:
        encoder.to("meta")  # Qwen-Image's would hold 16.6 GB that the training wants
    if paths is not None:
        material = Trajectories.open(paths, texts, shape=shape, last=last, base_hash=base_hash)
    exam = tuple(range(last, len(texts), CAPTIONS if caches else 1))[:held_out]
    decode, raw_decode = _decoders(base)
    return TeacherSetup(
        network=network_of(base),
        texts=texts,
        material=material,
        exam_prompts=exam,
        last=last,
        shape=shape,
        family=base.family,
        base_hash=base_hash,
        decode=decode,
        raw_decode=raw_decode,
    )


def _decoders(base: Base) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """`TeacherSetup.decode` and `TeacherSetup.raw_decode`."""
    if isinstance(base, VignetteBase):
        raw = base.autoencoder.decode
        return base.decode, lambda latents: (raw(latents) + 1) / 2
    # One after the other: a picture of 1024 x 1024 takes GBs to decode, and an exam shows a dozen.
    return lambda latents: torch.cat([base.decode(one) for one in latents.split(1)]), base.decode


def _device(base: Base) -> torch.device:
    """Where its network is."""
    return next(next(iter(base.modules().values())).parameters()).device


def _sources(
    base: Base, caches: tuple[Path, ...], prompts: Path | None, shape: tuple[int, int, int], most: int
) -> tuple[Texts, DistillData, int]:
    if caches:
        with torch.no_grad():
            text_width = base.encode_text([""]).states.shape[-1]
        opened = open_caches(caches, shape, text_width)
        texts = CacheTexts(cache=opened[0])
        held_out = min(most, len(opened[0]) // 4)
        material = CacheData(caches=opened, held_out=held_out)
        return texts, material, len(texts) - held_out * CAPTIONS
    assert prompts is not None
    words = read_prompts(prompts)
    known = _read(base, words)
    last = len(words) - min(most, len(words) // 4)
    learned = PromptTexts(text=_first(known.text, last), nothing=known.nothing)
    return known, PromptData(texts=learned, shape=shape), last


@torch.no_grad()
def _read(base: Base, words: list[str]) -> PromptTexts:
    """The encoded prompts, padded to the longest, in main memory: a device is handed those of one batch."""
    cpu = torch.device("cpu")
    read = [
        to_device(base.encode_text(words[start : start + _READ_AT_ONCE]), cpu)
        for start in range(0, len(words), _READ_AT_ONCE)
    ]
    nothing = to_device(base.encode_text([""]), cpu)
    return PromptTexts(text=join(*read), nothing=nothing, words=tuple(words))


def _first(text: TextStates, count: int) -> TextStates:
    """The first prompts, sharing the memory of all."""
    pooled = None if text.pooled is None else text.pooled[:count]
    return TextStates(states=text.states[:count], mask=text.mask[:count], pooled=pooled)


def base_hash(base: Base, weights: Path | None) -> str:
    """SHA-256 of what a base's network is: Vignette's file, or the tensors of another.

    Args:
        base: the loaded base.
        weights: the folder of Vignette's weights, None for those that ship.
    """
    if base.family == "vignette":
        with ((weights or weights_folder()) / "denoiser.safetensors").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name, module in sorted(base.modules().items()):
        for path, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name}.{path} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()
