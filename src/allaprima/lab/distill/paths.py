"""The teacher's ways from noise to picture, walked once and kept.

A step of learning from the teacher costs ten passes through it where it has to be asked each time, and none where
its way is on disk. A folder holds `paths.npy` (N, L + 1, C, h, w) float16, the latents at L even steps of the
teacher's schedule, and `prompts.npy` (N,), the number of the prompt. It grows chunk by chunk: a stopped build
goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.errors import AssetError
from allaprima.lab.distill.material import Batch, Texts
from allaprima.lab.distill.networks import to_device
from allaprima.lab.distill.rollout import walk
from allaprima.lab.distill.students import Student
from allaprima.lab.progress import track
from allaprima.lab.training.loop import Draw, mixed_norms
from allaprima.paint.bases.base import TextStates
from allaprima.paint.precision import pick_dtype
from allaprima.paint.sampling.noise import seeded_noise

FIRST_SEED = 6_000_000_000
"""Noise of the first path; evaluations draw theirs elsewhere."""


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """How the teacher walks."""

    count: int
    steps: int = 48
    """Of the teacher; a multiple of `stops`."""
    stops: int = 4
    """L: how many of its steps are kept."""
    guidance: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse stops that the teacher's steps pass by."""
        if self.steps % self.stops:
            raise ValueError(f"got {self.stops} stops on {self.steps} steps; expected a divisor")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Material made of the teacher's ways."""

    latents: NDArray[np.float16]
    prompts: NDArray[np.int64]
    texts: Texts

    @classmethod
    def open(cls, folder: Path, texts: Texts) -> Paths:
        """Open a finished folder.

        Raises:
            AssetError: there is none.
        """
        if not (folder / "paths.json").is_file():
            raise AssetError(
                f"{folder} has no paths.json; expected a folder that `prima distill paths` has finished"
            )
        latents = np.load(folder / "paths.npy", mmap_mode="r")
        return cls(latents=latents, prompts=np.load(folder / "prompts.npy"), texts=texts)

    def batch(self, draw: Draw) -> Batch:
        """Paths at random."""
        count = len(self.latents)
        index = (draw.uniform() * count).long().clamp(max=count - 1).tolist()
        path = torch.from_numpy(self.latents[index].astype(np.float32)).to(draw.device)
        return Batch(
            noise=path[:, 0],
            text=to_device(self.texts.take(self.prompts[index].tolist()), draw.device),
            empty=to_device(self.texts.empty(len(index)), draw.device),
            clean=path[:, -1],
            path=path,
        )


@torch.no_grad()
def teach(
    student: Student, noise: Tensor, text: TextStates, empty: TextStates, settings: PathSettings
) -> Tensor:
    """Walk from `noise` (B, C, h, w) and return the stops, noise first, (B, L + 1, C, h, w)."""
    process = student.process

    def answer(x: Tensor, t: Tensor) -> Tensor:
        return student.guided(x, t, text, empty, settings.guidance)

    every = settings.steps // settings.stops
    stops = [noise]
    for step, x in enumerate(walk(process, answer, noise, process.levels(settings.steps)), start=1):
        if step % every == 0:
            stops.append(x)
    return torch.stack(stops, 1)


def choose_prompts(texts: Texts, settings: PathSettings, last: int | None = None) -> Sequence[int]:
    """Which prompt each path is for: at random, each again only when all had their turn."""
    count = len(texts) if last is None else last
    rounds = -(-settings.count // count)
    rng = np.random.default_rng(settings.seed)
    chosen: list[int] = np.concatenate([rng.permutation(count) for _ in range(rounds)]).tolist()
    return chosen[: settings.count]


def build_paths(
    folder: Path,
    student: Student,
    texts: Texts,
    shape: tuple[int, int, int],
    settings: PathSettings,
    *,
    last: int | None = None,
    batch: int = 16,
) -> None:
    """Walk `settings.count` paths into `folder`.

    Args:
        folder: where to; a build of other settings in it is an error.
        student: whose teacher walks.
        texts: the prompts.
        shape: channels, rows and columns of the latents.
        settings: how.
        last: only prompts of smaller numbers are taken.
        batch: paths that are walked at once.

    Raises:
        AssetError: the folder holds paths of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prompts = choose_prompts(texts, settings, last)
    begun, told = folder / "begun.json", json.dumps(asdict(settings))
    if begun.exists() and begun.read_text(encoding="utf-8") != told:
        raise AssetError(
            f"{folder} holds paths of {begun.read_text(encoding='utf-8')}; expected an empty folder"
        )
    begun.write_text(told, encoding="utf-8")
    narrow = pick_dtype(student.device) == torch.bfloat16  # as the trainings' teachers are asked
    starts = range(0, settings.count, batch)
    for start in track(starts, total=len(starts), label="walking the teacher's paths"):
        part = folder / f"part-{start:07d}.npy"
        if part.exists():
            continue
        index = prompts[start : start + batch]
        seeds = [FIRST_SEED + settings.seed * 10_000_000 + start + row for row in range(len(index))]
        noise = seeded_noise(seeds, shape, student.device)
        text = to_device(texts.take(index), student.device)
        empty = to_device(texts.empty(len(index)), student.device)
        with torch.autocast(student.device.type, torch.bfloat16, enabled=narrow), mixed_norms():
            stops = teach(student, noise, text, empty, settings).cpu().numpy().astype(np.float16)
        with (beside := folder / f".{part.name}").open("wb") as file:
            np.save(file, stops)
        beside.rename(part)
    parts = [folder / f"part-{start:07d}.npy" for start in starts]
    np.save(folder / "paths.npy", np.concatenate([np.load(part) for part in parts]))
    np.save(folder / "prompts.npy", np.array(prompts, np.int64))
    (folder / "paths.json").write_text(told, encoding="utf-8")
    for part in parts:
        part.unlink()
