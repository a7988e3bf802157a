"""The held-out exam: how far a student's pictures are from its teacher's, from the same noise, for unseen prompts.

The teacher's 50-step latents are painted once and kept beside the training; every sitting paints the student's,
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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allaprima.core.errors import UserError
from allaprima.core.files import write_whole
from allaprima.lab.distill.data import Texts
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.networks import to_device
from allaprima.lab.distill.rollout import StepRule, arrive
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.paint.contract.base import TextStates
from allaprima.paint.sampling.noise import seeded_noise

FIRST_SEED = 7_000_000_000
"""Noise of the first exam prompt."""
FRESH_SEED = 7_500_000_000
"""The first noise of those that a step draws anew."""


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """What is asked."""

    steps: int
    """The student's."""
    rule: StepRule = "straight"
    teacher_steps: int = 50
    guidance: float = 4.0
    student_guidance: float | None = None
    """What a student that is told its guidance is told."""
    shown: int = 12
    batch: int = 16


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Prompts, noise and the teacher's answers."""

    settings: ValidationSettings
    text: TextStates
    noise: Tensor
    taught: Tensor
    """(N, C, h, w) the teacher's latents."""
    decode: Callable[[Tensor], Tensor] | None = None
    """Latents to pixels (B, 3, H, W) in [0, 1], for the grids; None draws none."""
    look: Callable[[Tensor], Tensor] | None = None
    """Latents to what an image network makes of their pictures (B, D); None lets the latents themselves decide."""
    keep: Callable[[Learners, Path, int, float], None] | None = None
    """Writes the student that did best so far: (student, folder, updates, score)."""

    @torch.no_grad()
    def paint(self, student: Learners) -> Tensor:
        """The student's latents, (N, C, h, w)."""
        process, settings = student.process, self.settings
        parts = []
        for start in range(0, len(self.noise), settings.batch):
            noise = self.noise[start : start + settings.batch]
            text = self.text.rows(range(start, start + len(noise)))
            told = None
            if settings.student_guidance is not None:
                told = torch.full((len(noise),), settings.student_guidance, device=noise.device)

            def answer(x: Tensor, t: Tensor, text: TextStates = text, told: Tensor | None = told) -> Tensor:
                return student.predict(x, t, text, guidance=told)

            fresh = _fresh(start, noise)
            levels = process.levels(settings.steps)
            parts.append(arrive(process, answer, noise, levels, settings.rule, fresh))
        return torch.cat(parts)

    def score(self, painted: Tensor) -> dict[str, float]:
        """Squared distances to the teacher, as shares of the variance between its pictures: 0 is the teacher itself.

        `latents` is that of the latents, `features` that of what the image network sees, if there is one, and
        `score` the one that decides.
        """
        found = {"latents": float((painted - self.taught).square().mean() / self.taught.var())}
        if self.look is not None:
            mine, taught = (self._see(latents) for latents in (painted, self.taught))
            found["features"] = float((mine - taught).square().mean() / taught.var(0).mean())
        return {"score": found.get("features", found["latents"]), **found}

    def _see(self, latents: Tensor) -> Tensor:
        assert self.look is not None
        return torch.cat([self.look(part) for part in torch.split(latents, self.settings.batch)])

    def sit(self, student: Learners, folder: Path, step: int) -> float:
        """Paint, draw the grid, keep the best, note the score in `exam.jsonl`; return the score.

        It is noted last: what was interrupted is sat again when the training goes on, and comes to the same.
        """
        painted = self.paint(student)
        scores = self.score(painted)
        score = scores["score"]
        contrast = float(painted.std() / self.taught.std())
        folder.mkdir(parents=True, exist_ok=True)
        noted = folder / "exam.jsonl"
        before = [one for one in read_validations(noted) if one["step"] < step]
        line = {
            "step": step,
            **{name: round(one, 6) for name, one in scores.items()},
            "contrast": round(contrast, 4),
        }
        if self.decode is not None:
            shown = slice(0, self.settings.shown)
            self._draw(folder / f"sample-{step:07d}.png", self.taught[shown], painted[shown])
        ranked = [one["score"] for one in before if math.isfinite(one["score"])]
        if self.keep is not None and math.isfinite(score) and all(score < other for other in ranked):
            self.keep(student, folder, step, score)
        write_whole(
            noted, "".join(json.dumps(one) + "\n" for one in [*before, line]).encode(), overwrite=True
        )
        return score

    def _draw(self, path: Path, *rows: Tensor) -> None:
        """The teacher's pictures above the student's."""
        assert self.decode is not None
        decoded = [self.decode(latents).float().cpu().clamp(0, 1) for latents in rows]
        lines = [torch.cat(list(pictures), dim=2) for pictures in decoded]
        grid = torch.cat(lines, dim=1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(grid)).save(path)


def _fresh(start: int, like: Tensor) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(FRESH_SEED + start)
    return lambda: torch.randn(like.shape, generator=generator).to(like.device)


def read_validations(path: Path) -> list[dict[str, Any]]:
    """The exams noted in an `exam.jsonl`, in order; none if there is no such file.

    Raises:
        UserError: it is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        exams = [json.loads(line) for line in lines]
        for one in exams:
            int(one["step"]), float(one["score"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: {error}; expected a line of JSON per exam, as they were written"
        ) from error
    return exams


@torch.no_grad()
def prepare_validation(
    folder: Path,
    student: Learners,
    texts: Texts,
    prompts: Sequence[int],
    shape: tuple[int, int, int],
    settings: ValidationSettings,
    *,
    base_hash: str = "",
    decode: Callable[[Tensor], Tensor] | None = None,
    look: Callable[[Tensor], Tensor] | None = None,
    keep: Callable[[Learners, Path, int, float], None] | None = None,
) -> Validation:
    """Let the teacher answer, or read its answers from `exam.safetensors` in `folder`.

    Args:
        folder: the training's.
        student: whose teacher answers.
        texts: where the prompts are.
        prompts: their numbers, which are not to be learned from.
        shape: channels, rows and columns of the latents.
        settings: what is asked.
        base_hash: of the teacher's weights; answers of another teacher, or to other words, are not read.
        decode: for grids.
        look: for the score.
        keep: for the best.
    """
    seeds = [FIRST_SEED + index for index in range(len(prompts))]
    noise = seeded_noise(seeds, shape, student.device)
    text = to_device(texts.take(prompts), student.device)
    told: dict[str, Any] = {
        "settings": settings, "text": text, "noise": noise, "decode": decode, "look": look, "keep": keep,
    }  # fmt: skip
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
    if path.exists():
        tensors, metadata = read_tensors(path)
        if metadata.get("about") == about:
            taught = tensors["taught"].to(student.device)
            return Validation(taught=taught, **told)
    process = student.process
    levels = process.levels(settings.teacher_steps)
    parts = []
    for start in range(0, len(noise), settings.batch):
        mine = noise[start : start + settings.batch]
        chosen = text.rows(range(start, start + len(mine)))
        empty = to_device(texts.empty(len(mine)), student.device)

        def answer(x: Tensor, t: Tensor, chosen: TextStates = chosen, empty: TextStates = empty) -> Tensor:
            return student.guided(x, t, chosen, empty, settings.guidance)

        parts.append(arrive(process, answer, mine, levels))
    taught = torch.cat(parts)
    write_tensors(path, {"taught": taught}, {"about": about})
    return Validation(taught=taught, **told)
