"""What few steps make of scenes: latents as they are painted, each beside the picture it should have become.

A decoder that has seen encoded pictures alone smears what a denoiser leaves undone. So scenes get noise of the levels
at which a distilled denoiser enters its own schedule, and it finishes them. Where it enters late, its latents still
are the scene's; where early, they are what it makes of the caption and of a blurred idea of the scene.

A store is a folder of flat arrays: `latents.npy` (N, C, 16, 16) float16, `scenes.npy` (N,) int32, the scene of each
in the cache it was made from, and `levels.npy` (N,) float32, the noise level it began at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.errors import AssetError
from allaprima.core.progress import track
from allaprima.core.request import LoraUse
from allaprima.lab.arrays import open_array
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.paint.bases.vignette.base import VignetteBase
from allaprima.paint.contract.base import TextStates
from allaprima.paint.lora.manager import LoraManager
from allaprima.paint.sampling.guidance import guide

_DIMENSIONS = {"latents": 4, "scenes": 1, "levels": 1}


class Way(NamedTuple):
    """One way of finishing a noised scene."""

    lora: str | None
    steps: int
    """Of the whole schedule."""
    skipped: int
    """Steps of it that the noised scene stands in for; at least 1."""
    guidance: float = 1.0


WAYS = (
    Way("turbo", 4, 1), Way("turbo", 4, 2), Way("turbo", 4, 3), Way("turbo-1", 4, 1), Way("turbo", 4, 2),
    Way("turbo", 4, 3), Way(None, 16, 9, 4.0),
)  # fmt: skip
"""In turn, a batch each. One step ends what four steps' second level begins; fifty steps are stood for by sixteen."""


@dataclass(frozen=True, kw_only=True)
class PaintedStore:
    """An opened store; see the module docstring."""

    latents: NDArray[np.float16]
    scenes: NDArray[np.int32]
    levels: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> PaintedStore:
        """Map a finished store into memory.

        Raises:
            AssetError: there is no finished store in the folder, or it is damaged.
        """
        if absent := [name for name in _DIMENSIONS if not (folder / f"{name}.npy").is_file()]:
            raise AssetError(
                f"{folder} lacks {', '.join(absent)}; expected a folder that `prima train painted` has finished"
            )
        arrays: Mapping[str, Any] = {
            name: open_array(folder / f"{name}.npy", dimensions) for name, dimensions in _DIMENSIONS.items()
        }
        if len({len(array) for array in arrays.values()}) > 1:
            raise AssetError(
                f"{folder} has arrays of several lengths; build it anew with `prima train painted`"
            )
        return cls(**arrays)

    def __len__(self) -> int:
        """Return the number of latents."""
        return len(self.latents)


def build_painted(
    folder: Path,
    cache: LatentCache,
    base: VignetteBase,
    loras: LoraManager,
    *,
    count: int,
    batch: int = 16,
    seed: int = 0,
) -> PaintedStore:
    """Finish `count` noised scenes of `cache`, one after another and from the first again, into `folder`.

    Args:
        base: what finishes them.
        loras: of that base; they must know the names in `WAYS`.
        batch: scenes that share a pass.
        seed: of the noise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    latents = np.empty((count, *cache.latents.shape[1:]), np.float16)
    scenes = (np.arange(count) % len(cache)).astype(np.int32)
    levels = np.empty(count, np.float32)
    starts = range(0, count, batch)
    for number, start in enumerate(track(starts, total=len(starts), label="painting scenes")):
        rows = slice(start, start + batch)
        way = WAYS[number % len(WAYS)]
        generator = torch.Generator().manual_seed(seed * len(starts) + number)
        finished, level = _finish(base, loras, cache, scenes[rows].tolist(), way, generator)
        latents[rows], levels[rows] = finished.numpy(), level
    np.save(folder / "latents.npy", latents)
    np.save(folder / "levels.npy", levels)
    np.save(folder / "scenes.npy", scenes)
    return PaintedStore.open(folder)


@torch.inference_mode()
def _finish(
    base: VignetteBase,
    loras: LoraManager,
    cache: LatentCache,
    scenes: Sequence[int],
    way: Way,
    generator: torch.Generator,
) -> tuple[Tensor, float]:
    """Return the finished latents (B, C, h, w) of some scenes, and the noise level that they began at."""
    loras.apply([] if way.lora is None else [LoraUse(name=way.lora)])
    # turbo-1 goes all the way at once, from where a schedule of several steps would be by then.
    schedule = base.schedule(way.steps, base.defaults.width, base.defaults.height)
    sigmas, times = schedule.sigmas[way.skipped :], schedule.times[way.skipped :]
    if way.lora == "turbo-1":
        sigmas, times = (sigmas[0], sigmas[-1]), times[:1]
    clean = torch.from_numpy(cache.latents[scenes].astype(np.float32))
    x = torch.lerp(clean, torch.randn(clean.shape, generator=generator), sigmas[0]).to(base.device)
    spoken = torch.randint(CAPTIONS - 1, (len(scenes),), generator=generator).tolist()
    text = _text(cache, list(zip(scenes, spoken, strict=True)))
    negative = _text(cache, [None] * len(scenes)) if way.guidance > 1 else None
    for index, t in enumerate(times):
        at = torch.full((len(x),), t, device=x.device)
        velocity = base.predict(x, at, text).float()
        if negative is not None:
            velocity = guide(velocity, base.predict(x, at, negative).float(), way.guidance)
        x = x + (sigmas[index + 1] - sigmas[index]) * velocity
    return x.half().cpu(), sigmas[0]


def _text(cache: LatentCache, rows: Sequence[tuple[int, int] | None]) -> TextStates:
    states, mask = cache.text(rows)
    return TextStates(states=states, mask=mask)
