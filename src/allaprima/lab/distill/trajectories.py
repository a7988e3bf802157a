"""Trajectories: the teacher's ways from noise to picture, walked once and kept.

A step of learning from the teacher costs ten passes through it where it has to be asked each time, and none where
its way is on disk. A folder holds `paths.npy` (N, L + 1, C, h, w) float16, the latents at L even steps of the
teacher's schedule, `prompts.npy` (N,), the number of the prompt, and `paths.json`, what they were walked with. It
grows part by part, by as many processes as there are: a stopped build goes on.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.errors import AssetError, OutputError
from allaprima.core.files import make_folder, write_whole
from allaprima.core.progress import track
from allaprima.lab.arrays import open_array
from allaprima.lab.distill.data import DistillBatch, Texts, to_device
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.rollout import walk
from allaprima.lab.training.loop import Draw, mixed_norms
from allaprima.paint.contract.base import TextStates
from allaprima.paint.device.precision import pick_dtype


@dataclass(frozen=True, kw_only=True)
class TrajectorySettings:
    """How the teacher walks."""

    count: int
    """How many trajectories."""
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
class Trajectories:
    """Material made of the teacher's ways."""

    latents: NDArray[np.float16]
    """(N, L + 1, C, h, w) all that the folder holds."""
    rows: NDArray[np.int64]
    """Which of them are learned from."""
    prompts: NDArray[np.int64]
    """The prompt of each of `rows`."""
    texts: Texts
    guidance: float | None = None
    """What the teacher walked with; None where the folder does not say."""

    @classmethod
    def open(
        cls,
        folder: Path,
        texts: Texts,
        *,
        shape: tuple[int, int, int] | None = None,
        last: int | None = None,
        base_hash: str | None = None,
    ) -> Trajectories:
        """Return what a finished folder holds, one of before `paths.json` said all of it too.

        Args:
            texts: the prompts they must be of.
            shape: what the latents must be: channels, rows and columns.
            last: trajectories of this prompt and later ones are left out, for the validation is about them.

        Raises:
            AssetError: there is none, it is damaged, or it is of something else.
        """
        metadata = _read(folder / "paths.json")
        if metadata is None:
            raise AssetError(
                f"{folder} has no paths.json; expected a folder that `prima distill paths` has finished"
            )
        _compare(folder, metadata, {"base": base_hash, "prompts": texts.digest()})
        latents = open_array(folder / "paths.npy", 5)
        prompts = open_array(folder / "prompts.npy", 1).astype(np.int64)
        count = metadata.get("count", len(latents))
        if not len(latents) == len(prompts) == count:
            raise AssetError(
                f"{folder} has {len(latents)} paths and {len(prompts)} prompts; expected {count} of both; "
                "walk them anew in another folder"
            )
        _compare(
            folder, {"shape": list(latents.shape[2:])}, {"shape": None if shape is None else list(shape)}
        )
        if prompts.min() < 0 or prompts.max() >= len(texts):
            raise AssetError(
                f"{folder} holds paths of prompts {prompts.min()} to {prompts.max()} and got {len(texts)} prompts; "
                "expected the cache or the prompts that they were walked for"
            )
        rows = np.flatnonzero(prompts < (len(texts) if last is None else last))
        if not len(rows):
            raise AssetError(
                f"all paths in {folder} are of prompts that the exam is about; expected others; lower --exam"
            )
        return cls(
            latents=latents, rows=rows, prompts=prompts[rows], texts=texts, guidance=metadata.get("guidance")
        )

    def batch(self, draw: Draw) -> DistillBatch:
        """Return trajectories at random."""
        count = len(self.rows)
        index = (draw.uniform() * count).long().clamp(max=count - 1).tolist()
        trajectory = torch.from_numpy(self.latents[self.rows[index]].astype(np.float32)).to(draw.device)
        return DistillBatch(
            noise=trajectory[:, 0],
            text=to_device(self.texts.take(self.prompts[index].tolist()), draw.device),
            empty=to_device(self.texts.empty(len(index)), draw.device),
            clean=trajectory[:, -1],
            trajectory=trajectory,
        )


def first_noise(numbers: Sequence[int], shape: Sequence[int], seed: int) -> Tensor:
    """Return (B, *shape) float32 standard normal values, where the trajectories of these numbers begin.

    They are numpy's: torch's generators on a processor know seeds by their last 32 bits, too few to keep the
    trajectories of every seed apart from each other's and from the validation's noise.
    """
    rows = [np.random.default_rng([seed, number + 1]) for number in numbers]
    return torch.from_numpy(np.stack([row.standard_normal(shape, np.float32) for row in rows]))


@torch.no_grad()
def walk_trajectories(
    learners: Learners, noise: Tensor, text: TextStates, empty: TextStates, settings: TrajectorySettings
) -> Tensor:
    """Return the stops of the teacher's ways from `noise` (B, C, h, w), noise first, (B, L + 1, C, h, w)."""
    process = learners.process
    model = partial(learners.guided, text=text, empty=empty, guidance=settings.guidance)
    every = settings.steps // settings.stops
    latents = walk(process, model, noise, process.timesteps(settings.steps))
    return torch.stack([noise, *islice(latents, every - 1, None, every)], 1)


def choose_prompts(texts: Texts, settings: TrajectorySettings, last: int | None = None) -> Sequence[int]:
    """Return the prompt of each trajectory: at random, each again only when all had their turn."""
    count = len(texts) if last is None else last
    rounds = -(-settings.count // count)
    rng = np.random.default_rng(settings.seed)
    chosen: list[int] = np.concatenate([rng.permutation(count) for _ in range(rounds)]).tolist()
    return chosen[: settings.count]


def build_trajectories(
    folder: Path,
    learners: Learners,
    texts: Texts,
    shape: tuple[int, int, int],
    settings: TrajectorySettings,
    *,
    last: int | None = None,
    batch: int = 16,
    base_hash: str | None = None,
) -> None:
    """Walk `settings.count` trajectories into `folder`; several processes share the work, a finished folder has none.

    Args:
        last: only prompts of smaller numbers are taken.
        batch: trajectories that are walked at once; a stopped build goes on with what it began with.
        base_hash: of the teacher, to be kept with the trajectories.

    Raises:
        AssetError: the folder holds trajectories of something else.
        OutputError: it cannot be written.
    """
    metadata = {
        **asdict(settings),
        "base": base_hash,
        "prompts": texts.digest(),
        "last": len(texts) if last is None else last,
        "shape": list(shape),
    }
    finished = _read(folder / "paths.json")
    if finished is not None:
        _compare(folder, finished, metadata)
        Trajectories.open(folder, texts, shape=shape)
        return
    processes = PartialState(cpu=not torch.cuda.is_available())
    with processes.main_process_first():
        batch = _begin(folder, metadata, batch)
    prompts = choose_prompts(texts, settings, last)
    parts = {start: folder / f"part-{start:07d}.npy" for start in range(0, settings.count, batch)}
    missing = [start for start, part in parts.items() if not part.exists()]
    processes.wait_for_everyone()  # all have looked before one adds to them
    mine = missing[processes.process_index :: processes.num_processes]
    for start in track(mine, total=len(mine), label="walking the teacher's paths"):
        numbers = range(start, min(start + batch, settings.count))
        noise = first_noise(numbers, shape, settings.seed).to(learners.device)
        index = prompts[start : start + batch]
        write_whole(parts[start], _npy(_walked(learners, noise, texts, index, settings)), overwrite=True)
    processes.wait_for_everyone()
    if processes.is_main_process:
        _join(folder / "paths.npy", list(parts.values()), settings, shape)
        write_whole(folder / "prompts.npy", _npy(np.array(prompts, np.int64)), overwrite=True)
        write_whole(folder / "paths.json", json.dumps(metadata).encode(), overwrite=True)
        for part in parts.values():
            part.unlink()
    processes.wait_for_everyone()


def _walked(
    learners: Learners, noise: Tensor, texts: Texts, index: Sequence[int], settings: TrajectorySettings
) -> NDArray[np.float16]:
    """Return the stops of these prompts, (B, L + 1, C, h, w)."""
    text = to_device(texts.take(index), learners.device)
    empty = to_device(texts.empty(len(index)), learners.device)
    narrow = pick_dtype(learners.device) == torch.bfloat16  # as the trainings' teachers are asked
    with torch.autocast(learners.device.type, torch.bfloat16, enabled=narrow), mixed_norms():
        return walk_trajectories(learners, noise, text, empty, settings).cpu().numpy().astype(np.float16)


def _begin(folder: Path, metadata: dict[str, Any], batch: int) -> int:
    """Note what is being walked in `begun.json`; return the batch that a stopped build goes on with."""
    path = folder / "begun.json"
    begun = _read(path)
    if begun is None:
        make_folder(folder)
        write_whole(path, json.dumps({**metadata, "batch": batch}).encode(), overwrite=True)
        return batch
    if begun.keys() != {*metadata, "batch"}:
        raise AssetError(f"{folder} holds paths that another version began; expected an empty folder")
    _compare(folder, begun, metadata)
    return int(begun["batch"])


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file beside the trajectories says, None where it is not."""
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise AssetError(
            f"cannot read {path}: {error}; expected JSON; walk anew in another folder"
        ) from error
    if not isinstance(metadata, dict):
        raise AssetError(
            f"{path} holds {str(metadata)[:40]!r}; expected settings; walk anew in another folder"
        )
    return metadata


def _compare(folder: Path, metadata: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a folder that says other than what is wanted; what one of them does not say is not compared."""
    for name, expected in wanted.items():
        actual = metadata.get(name)
        if actual is not None and expected is not None and actual != expected:
            raise AssetError(
                f"{folder} holds paths of {name} {_shown(actual)} and got {name} {_shown(expected)}; "
                "expected the same, or another folder"
            )


def _shown(value: object) -> str:
    return f"with the hash {value[:12]}" if isinstance(value, str) else str(value)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _join(
    path: Path, parts: Sequence[Path], settings: TrajectorySettings, shape: tuple[int, int, int]
) -> None:
    """Write the parts one after another, for all together may not fit into memory."""
    whole = (settings.count, settings.stops + 1, *shape)
    beside = path.with_name(f".{path.name}")
    try:
        with beside.open("wb") as file:
            descr = np.lib.format.dtype_to_descr(np.dtype(np.float16))
            np.lib.format.write_array_header_1_0(
                file, {"descr": descr, "fortran_order": False, "shape": whole}
            )
            for part in parts:
                file.write(open_array(part, 5).tobytes())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; expected room on the disk") from error
