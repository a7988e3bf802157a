"""What students learn from: prompts, and pictures to go with them where a method wants pictures.

Batches are a function of the update's random numbers. There are three kinds: a latent cache with real
pictures, bare prompts for methods that need no picture, and trajectories of the teacher from noise to picture
(:mod:`.trajectories`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from allaprima.core.errors import AssetError, UserError
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.contract.base import TextStates

FEWEST = 4
"""Scenes or prompts, of which a quarter is held out."""
_UNTOLD = 8
"""One scene of so many has no layout."""


@dataclass(frozen=True, kw_only=True)
class DistillBatch:
    """What one update sees, on its device."""

    noise: Tensor
    """(B, C, h, w) standard normal."""
    text: TextStates
    empty: TextStates
    """B times the empty prompt, encoded."""
    clean: Tensor | None = None
    """(B, C, h, w) pictures of the prompts, or None where there are none."""
    trajectory: Tensor | None = None
    """(B, L + 1, C, h, w) the teacher's way from `noise` to its picture in L even steps of its schedule, if known."""

    def pictures(self) -> Tensor:
        """Return the pictures."""
        if self.clean is None:
            raise UserError(
                "this method learns from pictures and got prompts alone; expected --cache, or --paths of the teacher"
            )
        return self.clean

    def stops_per_step(self, steps: int) -> int:
        """Return how many of the trajectory's stops lie in one step of a student that paints in `steps`."""
        assert self.trajectory is not None
        stops = self.trajectory.shape[1] - 1
        if stops % steps:
            raise UserError(
                f"got paths with {stops} stops for {steps} steps; expected a multiple of the steps"
            )
        return stops // steps


def to_device(text: TextStates, device: torch.device) -> TextStates:
    """Return the same text on another device."""
    pooled = None if text.pooled is None else text.pooled.to(device)
    layout = None if text.layout is None else text.layout.to(device)
    return TextStates(states=text.states.to(device), mask=text.mask.to(device), pooled=pooled, layout=layout)


class DistillData(Protocol):
    """Where batches come from."""

    def batch(self, draw: Draw) -> DistillBatch:
        """Return this process's share of an update's batch."""


class Texts(Protocol):
    """Encoded prompts by number."""

    def __len__(self) -> int:
        """Return how many there are."""

    def take(self, index: Sequence[int]) -> TextStates:
        """Return the prompts of these numbers."""

    def empty(self, count: int) -> TextStates:
        """Return the empty prompt, `count` times."""

    def digest(self) -> str:
        """Return a SHA-256 that tells these prompts in this order from others."""


@dataclass(frozen=True, kw_only=True)
class CacheTexts:
    """The captions of a latent cache; number = scene x captions per scene + caption."""

    cache: LatentCache
    layouts: ResidentLayouts | None = None
    """Of its scenes, for a base that reads them."""

    def __len__(self) -> int:
        """Return the number of captions."""
        return len(self.cache) * CAPTIONS

    def take(self, index: Sequence[int]) -> TextStates:
        """Return the captions of these numbers, with the whole layouts of their scenes if those are known.

        Every eighth scene says nothing of what stands where, so that students know words alone, too.
        """
        rows = [divmod(number, CAPTIONS) for number in index]
        states, mask = self.cache.text(rows)
        if self.layouts is None:
            return TextStates(states=states, mask=mask)
        scenes = torch.tensor([scene for scene, _ in rows])
        layout = self.layouts.whole_maps(scenes) * (scenes % _UNTOLD != 0)[:, None, None, None]
        return TextStates(states=states, mask=mask, layout=layout)

    def empty(self, count: int) -> TextStates:
        """Return the empty prompt, as the text encoder has it."""
        states, mask = self.cache.text([None] * count)
        return TextStates(states=states, mask=mask)

    def digest(self) -> str:
        """Return a SHA-256 of all lengths and some tokens: a cache may have gigabytes of them."""
        cache = self.cache
        sample = cache.states[:: 1 + len(cache.states) // 4096]
        told = () if self.layouts is None else (self.layouts.rows.numpy().tobytes(),)
        return _sha256(cache.spans.tobytes(), cache.empty.tobytes(), sample.tobytes(), *told)


@dataclass(frozen=True, kw_only=True)
class PromptTexts:
    """Prompts that were encoded together."""

    text: TextStates
    nothing: TextStates
    """One row: the empty prompt."""
    words: tuple[str, ...] = ()
    """What was encoded, if known: it is the same on every device, and what comes of it is not quite."""

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.text)

    def take(self, index: Sequence[int]) -> TextStates:
        """Return the prompts of these numbers."""
        return self.text.rows(index)

    def empty(self, count: int) -> TextStates:
        """Return the empty prompt, `count` times."""
        return self.nothing.rows([0] * count)

    def digest(self) -> str:
        """Return a SHA-256 of the words, or of the states where the words are not known."""
        if self.words:
            return _sha256("\n".join(self.words).encode())
        return _sha256(self.text.states.float().cpu().numpy().tobytes())


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class CacheData:
    """Real pictures and their captions; a batch comes from one of the caches."""

    texts: tuple[CacheTexts, ...]
    """One for each cache."""
    held_out: int = 0
    """So many scenes at the end of the first cache are not learned from."""

    def batch(self, draw: Draw) -> DistillBatch:
        """Return scenes and captions at random."""
        which = int(torch.rand((), generator=draw.generator) * len(self.texts))
        texts = self.texts[which]
        cache = texts.cache
        count = len(cache) - (self.held_out if which == 0 else 0)
        picks = draw.uniform(2)
        scenes = (picks[:, 0] * count).long().clamp(max=count - 1).tolist()
        words = (picks[:, 1] * CAPTIONS).long().clamp(max=CAPTIONS - 1).tolist()
        clean = torch.from_numpy(cache.latents[scenes].astype(np.float32))
        text = texts.take([scene * CAPTIONS + word for scene, word in zip(scenes, words, strict=True)])
        return DistillBatch(
            noise=draw.noise(*clean.shape[1:]),
            text=to_device(text, draw.device),
            empty=to_device(texts.empty(len(scenes)), draw.device),
            clean=clean.to(draw.device),
        )


@dataclass(frozen=True, kw_only=True)
class PromptData:
    """Prompts without pictures."""

    texts: Texts
    last: int
    """Prompts below this number are learned from."""
    shape: tuple[int, int, int]
    """Channels, rows and columns of the latents."""

    def batch(self, draw: Draw) -> DistillBatch:
        """Return prompts at random."""
        index = (draw.uniform() * self.last).long().clamp(max=self.last - 1).tolist()
        return DistillBatch(
            noise=draw.noise(*self.shape),
            text=to_device(self.texts.take(index), draw.device),
            empty=to_device(self.texts.empty(len(index)), draw.device),
        )


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a text file, one a line, each once: a repeated one could be learned from and held out.

    Raises:
        UserError: it is no such file, or has too few.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {path}: {error}; expected a text file with a prompt per line"
        ) from error
    words = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(words) < FEWEST:
        raise UserError(f"got {len(words)} different prompts in {path}; expected at least {FEWEST}")
    return words


def open_caches(
    folders: Sequence[Path], shape: tuple[int, int, int], text_width: int
) -> tuple[LatentCache, ...]:
    """Open latent caches for a base.

    Raises:
        AssetError: a cache is not finished, is damaged, or was made for another base.
        UserError: the first has too few scenes to hold some out.
    """
    caches = tuple(LatentCache.open(folder) for folder in folders)
    for folder, cache in zip(folders, caches, strict=True):
        cached_shape, cached_width = cache.latents.shape[1:], cache.states.shape[1]
        if (*cached_shape, cached_width) != (*shape, text_width):
            raise AssetError(
                f"{folder} has latents of {cached_shape} and prompts {cached_width} wide; expected {shape} and "
                f"{text_width}, as the base has them; build it with `prima train latents` and the base's weights"
            )
    if len(caches[0]) < FEWEST:
        raise UserError(f"got {len(caches[0])} scenes in {folders[0]}; expected at least {FEWEST}")
    return caches
