"""Pictures of different prompts and seeds in one pass, any of which may be given up on the way.

    shared = Pass(base, rows, width=256, height=256, schedule=base.schedule(4, 256, 256), guidance=1.0)
    for step in shared.steps():
        shared.drop(1)                  # row 1 costs nothing from here on
    pixels = shared.decode([0, 2])

Matrix products round differently at different batch sizes, so the last bits of a row depend on its company.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from allaprima.core.picture import Rescues
from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.pipeline.prompt_cache import join_prompts
from allaprima.paint.sampling.euler import Model
from allaprima.paint.sampling.guidance import guided, needs_negative
from allaprima.paint.sampling.samplers import sample_steps


@dataclass(frozen=True, kw_only=True)
class DenoiseRow:
    """One picture of a pass."""

    prompt: TextStates
    """One prompt."""
    seed: int
    """Of its noise."""
    negative: TextStates | None = None
    """What guidance leads away from, where that matters; see `guidance.needs_negative`."""
    opening: torch.Tensor | None = None
    """(C, h, w), the first prediction, if a pass whose schedule begins alike has made it already."""


def share_first_prediction(one: Schedule, other: Schedule) -> bool:
    """Return whether the model is asked the same question first, so that `DenoiseRow.opening` holds for both.

    Schedules of different length all begin at the same noise, so 1, 2 and 4 steps in turn cost 5 predictions
    rather than 7.
    """
    return (one.sigmas[0], one.times[0], one.kind, one.noise_scale) == (
        other.sigmas[0],
        other.times[0],
        other.kind,
        other.noise_scale,
    )


class DenoiseBatch:
    """One way through the model, shared by several rows.

    Args:
        base: the model; nothing else may use it during a step.
        rows: the pictures.
        width: pixels, of all of them.
        height: pixels.
        schedule: what all of them follow.
        guidance: of all of them.
    """

    def __init__(
        self,
        base: Base,
        rows: Sequence[DenoiseRow],
        *,
        width: int,
        height: int,
        schedule: Schedule,
        guidance: float,
    ) -> None:
        led = needs_negative(base, guidance)
        if any((row.negative is not None) != led for row in rows):
            raise ValueError(
                f"got rows with and without negative prompts at guidance {guidance:g}; expected "
                f"{'all with' if led else 'none with'} one"
            )
        self.rows = tuple(rows)
        self.openings: list[torch.Tensor | None] = [row.opening for row in rows]
        """(C, h, w) by row, each one's first prediction once it was made."""
        self.predictions = 0
        """Rows predicted so far; a guided row counts once."""
        # A row that stays bad ends when it is decoded, and leaves the others alone.
        self._base = OverflowGuard(base, strict=False)
        self._size = (width, height)
        self._schedule = schedule
        self._guidance = guidance
        self._alive = list(range(len(rows)))
        self._latents: torch.Tensor | None = None
        self._models: dict[tuple[int, ...], Model] = {}
        self._begun = False

    @property
    def is_cuda(self) -> bool:
        """Whether the latents lie on a GPU, where decoding many at once pays."""
        return self._latents is not None and self._latents.is_cuda

    @property
    def alive(self) -> tuple[int, ...]:
        """The rows that were not dropped."""
        return tuple(self._alive)

    @property
    def rescues(self) -> Rescues:
        """What had to be computed again so far, for whichever row."""
        return self._base.rescues

    def drop(self, row: int) -> None:
        """Spend nothing more on `row`."""
        if row in self._alive:
            self._alive.remove(row)

    # The decorator, not a with-block: a block would leave inference mode switched on in the caller between steps.
    @torch.inference_mode()
    def steps(self) -> Iterator[int]:
        """Yield 1, 2, ... after each step; ends early when every row was dropped. Stop iterating to cancel.

        Raises:
            PaintError: the base and the schedule do not go together.
        """
        seeds = [row.seed for row in self.rows]
        noise = self._base.noise(seeds, *self._size)
        for step in sample_steps(self._predict, noise, self._schedule, self._base.prediction, seeds):
            self._latents = step.latents
            if step.latents.is_cuda:
                # Otherwise all steps would be queued at once, and giving up between them would spare nothing.
                torch.cuda.synchronize(step.latents.device)
            yield step.index
            if not self._alive:
                return

    @torch.inference_mode()
    def decode(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the pixels (B, 3, height, width) of `rows` after the steps taken.

        Raises:
            PaintError: the model's numbers overflowed.
        """
        if self._latents is None:
            raise RuntimeError("nothing was painted yet; expected at least one step before decoding")
        latents = self._latents[list(rows)]
        return self._base.finish(latents)

    def _predict(self, latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict for the rows that are alive; the others' share is zero, and nobody looks at it."""
        result = torch.zeros_like(latents)
        asked = list(self._alive)
        if not self._begun:
            asked = [row for row in asked if self.openings[row] is None]
        if asked:
            result[asked] = self._ask(latents[asked], t[asked], tuple(asked))
            self.predictions += len(asked)
        if not self._begun:
            self._begun = True
            for row in self._alive:
                opening = self.openings[row]
                if opening is None:
                    self.openings[row] = result[row].clone()
                else:
                    result[row] = opening
        return result

    def _ask(self, latents: torch.Tensor, t: torch.Tensor, asked: tuple[int, ...]) -> torch.Tensor:
        if asked not in self._models:
            rows = [self.rows[row] for row in asked]
            negatives = [row.negative for row in rows if row.negative is not None]
            text = join_prompts([*(row.prompt for row in rows), *negatives])
            self._models = {asked: guided(self._base, text, self._guidance)}
        return self._models[asked](latents, t).float()
