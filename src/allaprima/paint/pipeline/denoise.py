"""The denoising loop: pictures that share a pass through the model, any of which may be dropped on the way.

    guard = OverflowGuard(base)
    batch = DenoiseBatch(guard, rows, width=256, height=256, schedule=base.schedule(4, 256, 256), guidance=1.0)
    while batch.left:
        batch.step()
    pixels = batch.decode([0, 2])

Everything that paints goes through here: whole pictures, live frames, evaluations and the previews of a training.
Matrix products round differently at different batch sizes, so the last bits of a row depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from allaprima.core.init_image import InitImage
from allaprima.core.picture import Rescues
from allaprima.core.request import LoraUse
from allaprima.paint.contract.base import TextStates
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.pipeline.image_cache import ImageCache
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.pipeline.prompt_cache import join_prompts
from allaprima.paint.pipeline.underpainting import Underpainting
from allaprima.paint.sampling.guidance import guided, needs_negative
from allaprima.paint.sampling.samplers import Model, SamplerStep, sample_steps

if TYPE_CHECKING:
    from allaprima.paint.step_cache.first_block import FirstBlockCache


@dataclass(frozen=True, kw_only=True)
class FirstPrediction:
    """What the model answered first for one picture, of use to every schedule that begins alike."""

    schedule: Schedule
    loras: tuple[LoraUse, ...]
    """LoRAs that were on the networks."""
    prediction: torch.Tensor
    """(C, h, w)."""
    init_image: InitImage | None = None
    """What it was painted over."""

    def fits(
        self, schedule: Schedule, loras: tuple[LoraUse, ...], init_image: InitImage | None = None
    ) -> bool:
        """Return whether the model would be asked the same question first.

        Schedules of different length begin at the same noise, so 1, 2 and 4 steps in turn cost 5 predictions, not 7.
        """
        asked = (loras, _beginning(schedule), init_image)
        return asked == (self.loras, _beginning(self.schedule), self.init_image)


@dataclass(frozen=True, kw_only=True)
class DenoiseRow:
    """One picture of a batch."""

    prompt: TextStates
    """One prompt."""
    seed: int
    """Seed of its noise."""
    negative: TextStates | None = None
    """What guidance leads away from, where that matters; see `guidance.needs_negative`."""
    first: FirstPrediction | None = None
    """Of an earlier batch, where one was made for the same prompt, layout and seed; used if it fits."""
    layout: torch.Tensor | None = None
    """(1, M, h, w), the map of what stands where, under guidance too; None leaves that open."""


def _told(text: TextStates, layout: torch.Tensor | None) -> TextStates:
    return text if layout is None else replace(text, layout=layout)


def _beginning(schedule: Schedule) -> tuple[object, ...]:
    solver = None if schedule.solver is None else (schedule.solver.name, schedule.solver.settings)
    return schedule.sigmas[0], schedule.times[0], schedule.kind, schedule.noise_scale, solver


class DenoiseBatch:
    """Rows on their way from noise to pictures, a step at a time.

    Args:
        guard: the model under a guard of this batch's own; nothing else may use it during a step.
        rows: the pictures.
        width: pixels, of all of them.
        height: pixels.
        schedule: what all of them follow.
        guidance: of all of them.
        loras: what `before_prediction` puts on the networks.
        init_image: what all of them are painted over, and the part of it that is; it has their size.
        references: (1, C, h, w) latents of each picture that all of them are painted from.
        images: pictures that were encoded before.
        sketch: whether this is a first look, for which a base's sketch of the init image will do.
        step_cache: what the base's steps may reuse each other by.
        before_prediction: called before the model is asked: another batch may have been painted since the last
            step, with other LoRAs on the networks.
    """

    def __init__(
        self,
        guard: OverflowGuard,
        rows: Sequence[DenoiseRow],
        *,
        width: int,
        height: int,
        schedule: Schedule,
        guidance: float,
        loras: tuple[LoraUse, ...] = (),
        init_image: InitImage | None = None,
        references: tuple[torch.Tensor, ...] = (),
        images: ImageCache | None = None,
        sketch: bool = False,
        step_cache: FirstBlockCache | None = None,
        before_prediction: Callable[[], None] = lambda: None,
    ) -> None:
        guides = needs_negative(guard, guidance)
        if any((row.negative is not None) != guides for row in rows):
            raise ValueError(
                f"got rows with and without negative prompts at guidance {guidance:g}; expected "
                f"{'all with' if guides else 'none with'} one"
            )
        self.rows = tuple(rows)
        self.loras = loras
        self.predictions = 0
        """Rows predicted so far; a guided row counts once."""
        self.taken = 0
        """Steps taken."""
        self.guard = guard
        self._guidance = guidance
        self._references = references
        self._before_prediction = before_prediction
        self._step_cache = step_cache
        self._alive = list(range(len(rows)))
        self._models: dict[tuple[int, ...], Model] = {}
        self._init_image = init_image
        with torch.inference_mode():
            self._under = Underpainting(
                guard,
                init_image,
                guard.noise([row.seed for row in rows], width, height),
                schedule,
                width=width,
                height=height,
                images=images,
                sketch=sketch,
            )
            self._start(self._under)

    def _start(self, under: Underpainting) -> None:
        self.latents = under.latents
        """(B, C, h, w) after the steps taken, dropped rows too."""
        self.schedule = under.schedule
        """The levels that are visited, fewer than were given with an init image."""
        self._memory = None if self._step_cache is None else self._step_cache.begin(len(self.schedule))
        # A step that was not computed here leaves nothing to reuse, and the picture would depend on who computed it.
        shares = self._memory is None
        self._first = [
            row.first.prediction
            if shares
            and row.first is not None
            and row.first.fits(self.schedule, self.loras, self._init_image)
            else None
            for row in self.rows
        ]
        self._steps = sample_steps(
            self._predict,
            self.latents,
            self.schedule,
            self.guard.prediction,
            [row.seed for row in self.rows],
            under.settle,
        )

    @property
    def left(self) -> int:
        """Steps not yet taken."""
        return len(self.schedule) - self.taken

    @property
    def rescues(self) -> Rescues:
        """What had to be computed again so far, for whichever row."""
        return self.guard.rescues

    def first(self, row: int) -> FirstPrediction | None:
        """Return the first prediction of `row`, None before it was made, or where it began with a sketch."""
        prediction = self._first[row]
        if prediction is None or self._under.is_sketch:
            return None
        return FirstPrediction(
            schedule=self.schedule, loras=self.loras, prediction=prediction, init_image=self._init_image
        )

    @property
    def cached_by(self) -> str | None:
        """The step cache that the pictures are painted with, and its threshold; None for none."""
        return None if self._memory is None or self._step_cache is None else str(self._step_cache.setting)

    @property
    def alive(self) -> tuple[int, ...]:
        """The rows that were not dropped."""
        return tuple(self._alive)

    @property
    def is_cuda(self) -> bool:
        """Whether the latents lie on a GPU, where decoding many at once pays."""
        return self.latents.is_cuda

    def drop(self, row: int) -> None:
        """Spend nothing more on `row`."""
        if row in self._alive:
            self._alive.remove(row)

    @torch.inference_mode()
    def step(self) -> SamplerStep:
        """Take the next step and return where it led.

        Raises:
            PaintError: the base and the schedule do not go together, or the model's numbers overflowed.
        """
        if not self.left or not self._alive:
            raise RuntimeError("there is nothing left to paint; expected steps to take and rows to take them")
        step = next(self._steps)
        self.latents, self.taken = step.latents, step.index
        if step.latents.is_cuda:
            # Otherwise all steps would be queued at once, and dropping a row between them would spare nothing.
            torch.cuda.synchronize(step.latents.device)
        return step

    @torch.inference_mode()
    def decode(self, rows: Sequence[int], *, coarse: bool = False) -> torch.Tensor:
        """Return the pixels (B, 3, height, width) of `rows` after the steps taken.

        Args:
            coarse: whether the base's coarse decoder will do.

        Raises:
            PaintError: the model's numbers overflowed.
        """
        if not self.taken:
            raise RuntimeError("nothing was painted yet; expected at least one step before decoding")
        return self._under.paste(self.guard.finish(self.latents[list(rows)], coarse=coarse))

    @torch.inference_mode()
    def preview(self, step: SamplerStep) -> torch.Tensor:
        """Return the pixels (B, 3, height, width) that a step's prediction means; PaintError if they overflow."""
        return self._under.paste(self.guard.decode_coarse(step.clean))

    def _predict(self, latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict for the rows that are alive; the others' share is zero, and nobody looks at it."""
        first = not self.taken
        asked = [row for row in self._alive if not (first and self._first[row] is not None)]
        self.predictions += len(asked)
        if len(asked) == len(self.rows):
            result = self._ask(latents, t, tuple(asked))
        else:
            result = torch.zeros_like(latents)
            if asked:
                result[asked] = self._ask(latents[asked], t[asked], tuple(asked))
        if first:
            self._share_first(result, asked)
        return result

    def _share_first(self, result: torch.Tensor, asked: Sequence[int]) -> None:
        """Keep the first predictions that were made, and put those that were known where they belong."""
        for row in self._alive:
            known = self._first[row]
            if known is not None:
                result[row] = known
        for row in asked:
            self._first[row] = result[row].clone()

    def _ask(self, latents: torch.Tensor, t: torch.Tensor, asked: tuple[int, ...]) -> torch.Tensor:
        if self._memory is None:
            return self._ask_together(latents, t, asked)
        answers = []
        for index, row in enumerate(asked):  # one by one: what a picture reuses must not depend on the others
            with self._memory.of_row(row):
                answers.append(self._ask_together(latents[index, None], t[index, None], (row,)))
        return torch.cat(answers)

    def _ask_together(self, latents: torch.Tensor, t: torch.Tensor, asked: tuple[int, ...]) -> torch.Tensor:
        self._before_prediction()
        if asked not in self._models:
            rows = [self.rows[row] for row in asked]
            prompts = [_told(row.prompt, row.layout) for row in rows]
            # What is led away from stands in the same places.
            negatives = [_told(row.negative, row.layout) for row in rows if row.negative is not None]
            text = join_prompts([*prompts, *negatives])
            if self._references:
                text = replace(text, references=self._references)
            kept = {} if self._memory is None else self._models  # whose rows take turns
            self._models = {**kept, asked: guided(self.guard, text, self._guidance)}
        if (channels := self._under.channels) is not None:
            latents = torch.cat([latents, channels.expand(len(latents), -1, -1, -1)], dim=1)
        return self._models[asked](latents, t).float()
