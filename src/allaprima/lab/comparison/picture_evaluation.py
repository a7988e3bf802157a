"""The evaluation of pictures: what an eye sees in them, in figures, beside those of other weights.

    new, old = LoadedWeights.load(folder), LoadedWeights.load(None)
    evaluation = evaluate_pictures(new, old, tools, PictureSettings())
    for row in evaluation.rows:
        print(row.name, row.value, row.state)

Prompts, seeds and scenes are the same for both. Pictures are painted by requests as everybody's are, with the turbo
LoRAs that lie beside the weights and with layouts completed from the seed where the base reads any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from allaprima.core.progress import OnProgress
from allaprima.lab.comparison.asked_boxes import (
    FindBox,
    by_judge,
    by_matte,
    mean_overlap,
    placed_things,
    rendered,
)
from allaprima.lab.comparison.asked_pictures import AskedPicture, captioned, paint_asked
from allaprima.lab.comparison.loaded_weights import LoadedWeights, PictureSettings, PictureTools
from allaprima.lab.comparison.looks import Look, batches, look_at
from allaprima.lab.comparison.picture_rows import (
    judged_rows,
    lowered,
    measured,
    sharpness_rows,
    told,
    velocity_rows,
)
from allaprima.lab.comparison.typed_pictures import background_change, typed_pairs
from allaprima.lab.comparison.unseen_velocity import unseen_velocity
from allaprima.lab.evaluation.accuracy import render_tensor, reported
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.evaluation.pictures import frechet
from allaprima.lab.evaluation.rows import ReportRow, painting_rows
from allaprima.lab.evaluation.suites import build_suites
from allaprima.lab.evaluation.vignette import judge_pictures, measure_autoencoder, reconstruct

FEW = 4
ONE = 1


@dataclass(kw_only=True)
class PictureEvaluation:
    """The rows, and what was left out and why."""

    settings: PictureSettings
    rows: list[Measure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [row.to_json() for row in self.rows]
        about = {"settings": asdict(self.settings), "left_out": self.left_out}
        return {"rows": rows, **about, "seconds": round(self.seconds, 1)}


def evaluate_pictures(
    new: LoadedWeights,
    old: LoadedWeights,
    tools: PictureTools,
    settings: PictureSettings,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> PictureEvaluation:
    """Measure the pictures of `new` beside those of `old`."""
    started = time.perf_counter()
    run = _Run(new=new, old=old, tools=tools, settings=settings, on_progress=on_progress)
    evaluation = PictureEvaluation(settings=settings)
    for part in (run.looks, run.velocity, run.boxes, run.typing, run.autoencoder, run.judge):
        rows, left_out = part()
        evaluation.rows += rows
        evaluation.left_out += left_out
    evaluation.seconds = time.perf_counter() - started
    return evaluation


_Part = tuple[list[Measure], list[str]]
"""Rows, and what was left out."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The parts of one evaluation."""

    new: LoadedWeights
    old: LoadedWeights
    tools: PictureTools
    settings: PictureSettings
    on_progress: OnProgress

    def _paint(
        self, side: LoadedWeights, asked: list[AskedPicture], steps: int, what: str
    ) -> Iterator[Tensor]:
        name = "new" if side is self.new else "other"
        what = f"{what}, {_in(steps)}, {name} weights"
        return paint_asked(side.painter, asked, steps, what, self.on_progress)

    def looks(self) -> _Part:
        """Measure sharpness, and the Frechet distance of few steps."""
        scenes, asked = captioned(self.settings.pictures)
        features, sprites = self.tools.features, self.tools.sprites
        real = look_at((render_tensor(scene, sprites) for scene in scenes), features)
        again = reconstruct(self.new.autoencoder)
        rebuilt = look_at(
            (
                picture
                for batch in batches(render_tensor(scene, sprites) for scene in scenes)
                for picture in again(batch)
            ),
            None,
        )
        four = look_at(self._paint(self.new, asked, FEW, "captions"), features)
        before = look_at(self._paint(self.old, asked, FEW, "captions"), features)
        one = look_at(self._paint(self.new, asked, ONE, "captions"), None)
        kinds = {"reconstructions": rebuilt, "paintings, 4 steps": four, "paintings, 1 step": one}
        shares = {what: look.steps / real.steps for what, look in kinds.items()}
        rows = sharpness_rows(shares, before.steps / real.steps)
        now, then = _distance(four, real), _distance(before, real)
        rows += lowered("Frechet distance to renders, 4 steps", now, then, "", -30.0, -60.0)
        lacking = [] if features is not None else ["No image network: the Frechet distance is left out."]
        return rows, lacking

    def velocity(self) -> _Part:
        """Measure the error of the velocity, from words and from whole layouts."""
        mine, other = (
            unseen_velocity(side.folder, self.settings.velocity_scenes) for side in (self.new, self.old)
        )
        lacking = [] if mine.layouts else ["The denoiser reads no layouts: its error with them is left out."]
        return velocity_rows(mine, other), lacking

    def _finder(self) -> tuple[str, FindBox, float]:
        """Return the finder of boxes that agrees better with renders, its name, and how well it does."""
        placed = placed_things(self.settings.finder_scenes, self.tools.sprites)
        finders = {"matte": by_matte(self.tools.matte), "judge": by_judge(self.tools.judge)}
        ceilings = {
            name: mean_overlap(placed, rendered(placed, self.tools.sprites), find)
            for name, find in finders.items()
        }
        best = max(ceilings, key=lambda name: ceilings[name])
        return best, finders[best], ceilings[best]

    def boxes(self) -> _Part:
        """Measure the overlap of what is painted with the box that was asked for."""
        name, find, ceiling = self._finder()
        where = f"overlap (IoU) with a box asked for, found by the {name}"
        rows = [told(f"{where}: on renders, the most there can be", ceiling, "")]
        reads = self.new.painter.base.reads_layout
        placed = placed_things(self.settings.pictures, self.tools.sprites) if reads else []
        for steps in (FEW, ONE):
            value = None
            if reads:
                painted = self._paint(self.new, [one.asked for one in placed], steps, "boxes")
                value = mean_overlap(placed, painted, find)
            rows.append(
                Measure(
                    name=f"{where}: {_in(steps)}", value=value, unit="", better="more", must=0.75, aim=0.9
                )
            )
        return rows, [] if reads else ["The denoiser reads no layouts: boxes asked for are left out."]

    def typing(self) -> _Part:
        """Measure how much of the background changes while the subject's word does."""
        pairs = typed_pairs(self.settings.typed_pairs)
        asked = [one for pair in pairs for one in pair.asked]
        find, rows = by_matte(self.tools.matte), []
        for steps in (ONE, FEW):
            now, then = (
                background_change(pairs, self._paint(side, asked, steps, "typing"), find)
                for side in (self.new, self.old)
            )
            name = f"change of the background while the subject's word changes, {_in(steps)}"
            rows += lowered(name, now, then, "", -50.0, -80.0)
        return rows, []

    def autoencoder(self) -> _Part:
        """Measure how close reconstructions are."""
        rows = measure_autoencoder(self.new.autoencoder, self.settings.pictures, self.on_progress)
        return [measured(row) for row in rows], []

    def judge(self) -> _Part:
        """Ask what the judge says of pictures in few steps."""
        asks = build_suites(self.settings.pictures)
        heard = reported(self.tools.accuracy)
        asked = [AskedPicture(prompt=ask.prompt, seed=ask.seed) for ask in asks]

        def rows_of(side: LoadedWeights) -> list[ReportRow]:
            painted = batches(self._paint(side, asked, FEW, "suites"))
            answers, _ = judge_pictures(painted, self.tools.judge, asks, heard, lambda *_: None)
            return painting_rows(answers, heard)

        return judged_rows(rows_of(self.new), rows_of(self.old)), []


def _in(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"


def _distance(painted: Look, real: Look) -> float | None:
    if painted.features is None or real.features is None:
        return None
    return frechet(painted.features, real.features)
