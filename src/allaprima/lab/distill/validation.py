"""Validation: how far a student's pictures are from its teacher's, from the same noise, for held-out prompts.

The teacher's 50-step latents are painted once and kept beside the training; every validation paints the student's,
writes a grid of both, notes the score, and keeps the student with the best.

The score is a distance to the teacher's pictures as an image network sees them. Distance of the latents themselves is
noted too, but does not decide: the closest to many possible pictures is their blurred mean, and methods that
match distributions would be kept as they were before they learned anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allaprima.core.errors import UserError
from allaprima.core.files import write_whole
from allaprima.lab.distill.data import Texts, to_device
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.network import Decode
from allaprima.lab.distill.rollout import FreshNoise, StudentSampler, rollout
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.paint.contract.base import TextStates
from allaprima.paint.sampling.noise import seeded_noise

FIRST_SEED = 7_000_000_000
"""Noise of the first prompt."""
FRESH_SEED = 7_500_000_000
"""The first noise of those that a step draws anew."""

Embed = Callable[[Tensor], Tensor]
"""Latents (B, C, h, w) to what an image network makes of their pictures (B, D)."""
SaveBest = Callable[[Learners, Path, int, float], None]
"""Writes the student that did best so far: (learners, folder, updates, score)."""


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """How teacher and student paint."""

    steps: int
    """The student's."""
    sampler: StudentSampler = "euler"
    """The student's."""
    teacher_steps: int = 50
    guidance: float = 4.0
    """The teacher's."""
    student_guidance: float | None = None
    """What a student that is told its guidance is told."""
    shown: int = 12
    """Pictures of a grid's row."""
    batch: int = 16


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Prompts, noise and the teacher's latents."""

    settings: ValidationSettings
    text: TextStates
    noise: Tensor
    """(N, C, h, w) what both begin with."""
    teacher_latents: Tensor
    """(N, C, h, w) what the teacher painted."""
    decode: Decode | None = None
    """For the grids; None draws none."""
    embed: Embed | None = None
    """For the score; None lets the latents themselves decide."""
    save_best: SaveBest | None = None

    @torch.no_grad()
    def paint(self, learners: Learners) -> Tensor:
        """Return the student's latents, (N, C, h, w)."""
        process, settings = learners.process, self.settings
        timesteps = process.timesteps(settings.steps)
        parts = []
        for start in range(0, len(self.noise), settings.batch):
            noise = self.noise[start : start + settings.batch]
            text = self.text.rows(range(start, start + len(noise)))
            scale = settings.student_guidance
            guidance = None if scale is None else torch.full((len(noise),), scale, device=noise.device)
            model = partial(learners.predict, text=text, guidance=guidance)
            parts.append(rollout(process, model, noise, timesteps, settings.sampler, _fresh(start, noise)))
        return torch.cat(parts)

    def score(self, painted: Tensor) -> dict[str, float]:
        """Return squared distances to the teacher, as shares of the variance between its pictures: 0 is the teacher.

        `latents` is that of the latents, `features` that of what the image network sees, if there is one, and
        `score` the one that decides.
        """
        target = self.teacher_latents
        scores = {"latents": float((painted - target).square().mean() / target.var())}
        if self.embed is not None:
            student, teacher = self._embedded(painted), self._embedded(target)
            scores["features"] = float((student - teacher).square().mean() / teacher.var(0).mean())
        return {"score": scores.get("features", scores["latents"]), **scores}

    def _embedded(self, latents: Tensor) -> Tensor:
        assert self.embed is not None
        return torch.cat([self.embed(part) for part in torch.split(latents, self.settings.batch)])

    def run(self, learners: Learners, folder: Path, step: int) -> float:
        """Paint, draw the grid, keep the best, note the score in `exam.jsonl`; return the score.

        It is noted last: what was interrupted is done again when the training goes on, and comes to the same.
        """
        painted = self.paint(learners)
        scores = self.score(painted)
        score = scores["score"]
        contrast = float(painted.std() / self.teacher_latents.std())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "exam.jsonl"
        before = [validation for validation in read_validations(path) if validation["step"] < step]
        line = {
            "step": step,
            **{name: round(value, 6) for name, value in scores.items()},
            "contrast": round(contrast, 4),
        }
        if self.decode is not None:
            shown = slice(0, self.settings.shown)
            grid = _grid(self.decode, self.teacher_latents[shown], painted[shown])
            grid.save(folder / f"sample-{step:07d}.png")
        ranked = [validation["score"] for validation in before if math.isfinite(validation["score"])]
        if self.save_best is not None and math.isfinite(score) and all(score < other for other in ranked):
            self.save_best(learners, folder, step, score)
        lines = "".join(json.dumps(validation) + "\n" for validation in [*before, line])
        write_whole(path, lines.encode(), overwrite=True)
        return score


def _grid(decode: Decode, *rows: Tensor) -> Image.Image:
    """Return the pictures of each row's latents side by side, the rows below each other."""
    decoded = [decode(latents).float().cpu().clamp(0, 1) for latents in rows]
    lines = [torch.cat(list(pictures), dim=2) for pictures in decoded]
    grid = torch.cat(lines, dim=1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(grid))


def _fresh(start: int, like: Tensor) -> FreshNoise:
    generator = torch.Generator().manual_seed(FRESH_SEED + start)
    return lambda: torch.randn(like.shape, generator=generator).to(like.device)


def read_validations(path: Path) -> list[dict[str, Any]]:
    """Return the validations noted in an `exam.jsonl`, in order; none if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        validations = [json.loads(line) for line in lines]
        for validation in validations:
            int(validation["step"]), float(validation["score"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: {error}; expected a line of JSON per exam, as they were written"
        ) from error
    return validations


@torch.no_grad()
def prepare_validation(
    folder: Path,
    learners: Learners,
    texts: Texts,
    prompts: Sequence[int],
    shape: tuple[int, int, int],
    settings: ValidationSettings,
    *,
    base_hash: str = "",
    decode: Decode | None = None,
    embed: Embed | None = None,
    save_best: SaveBest | None = None,
) -> Validation:
    """Return a validation; the teacher paints, or its latents are read from `exam.safetensors` in `folder`.

    Args:
        prompts: their numbers, which are not to be learned from.
        shape: channels, rows and columns of the latents.
        base_hash: of the teacher's weights; latents of another teacher, or for other words, are not read.
        save_best: called with each best student so far.
    """
    seeds = [FIRST_SEED + index for index in range(len(prompts))]
    noise = seeded_noise(seeds, shape, learners.device)
    text = to_device(texts.take(prompts), learners.device)
    path = folder / "exam.safetensors"
    about = json.dumps(
        {
            "prompts": list(prompts),
            "steps": settings.teacher_steps,
            "guidance": settings.guidance,
            "shape": shape,
            "base": base_hash,
            "words": hashlib.sha256(text.states.float().cpu().numpy().tobytes()).hexdigest(),
        }
    )
    latents = _stored_latents(path, about)
    if latents is None:
        latents = _teacher_latents(learners, noise, text, texts, settings)
        write_tensors(path, {"taught": latents}, {"about": about})
    return Validation(
        settings=settings,
        text=text,
        noise=noise,
        teacher_latents=latents.to(learners.device),
        decode=decode,
        embed=embed,
        save_best=save_best,
    )


def _stored_latents(path: Path, about: str) -> Tensor | None:
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    return tensors["taught"] if metadata.get("about") == about else None


def _teacher_latents(
    learners: Learners, noise: Tensor, text: TextStates, texts: Texts, settings: ValidationSettings
) -> Tensor:
    """Return what the guided teacher paints from `noise`, (N, C, h, w)."""
    timesteps = learners.process.timesteps(settings.teacher_steps)
    parts = []
    for start in range(0, len(noise), settings.batch):
        batch = noise[start : start + settings.batch]
        prompts = text.rows(range(start, start + len(batch)))
        empty = to_device(texts.empty(len(batch)), learners.device)
        model = partial(learners.guided, text=prompts, empty=empty, guidance=settings.guidance)
        parts.append(rollout(learners.process, model, batch, timesteps))
    return torch.cat(parts)
