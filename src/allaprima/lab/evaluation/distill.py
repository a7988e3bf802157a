"""The table of the distillation laboratory: the base and its students, what each gives and what it costs.

All paint the same prompts from the same noise. The base at 50 steps with guidance is the teacher that pictures
are compared with; a student is a LoRA file, painted with at the levels it was trained for, without guidance.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from allaprima.core.errors import AssetError
from allaprima.core.progress import OnProgress
from allaprima.lab.evaluation.accuracy import Attribute, render_tensor, reported, unseen_scenes
from allaprima.lab.evaluation.contenders import Contender, paint, worn
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.metrics import find_fault, psnr, ssim
from allaprima.lab.evaluation.pictures import diversity, frechet, high_frequencies, saturation
from allaprima.lab.evaluation.rows import SuiteAnswer
from allaprima.lab.evaluation.suites import Ask, build_suites
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.reader import read_lora

REAL_SEED = 8_000_000_000
"""The first of the real scenes that features are compared with; nothing else is made of them."""
DIVERSITY_SEED = 9_000_000_000
"""The first noise of the pictures that diversity is measured on."""

COLUMNS: dict[str, str] = {
    "judge": "judge, %", "psnr": "PSNR to teacher, dB", "ssim": "SSIM to teacher", "frechet": "Frechet to renders",
    "diversity": "diversity, % of teacher", "saturation": "saturation", "high_frequencies": "high frequencies",
    "megabytes": "LoRA, MB", "minutes": "training, min", "seconds": "s per picture", "speed_up": "speed-up",
}  # fmt: skip
"""A column's name in the rows, and over the table."""


@dataclass(frozen=True, kw_only=True)
class DistillSettings:
    """How much is painted."""

    prompts: int = 500
    seed: int = 0
    teacher_steps: int = 50
    guidance: float = 4.0
    base_steps: tuple[int, ...] = (4, 8)
    student_steps: tuple[int, ...] = (1, 2, 4)
    diverse_prompts: int = 24
    diverse_seeds: int = 6
    reals: int = 500
    """Rendered scenes that features are compared with; 0 leaves the column out."""
    batch: int = 16
    timed: int = 7
    """Rounds for the time, in each of which every way of painting paints a picture alone."""
    shown: int = 8


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the table: means over the trainings of one name, and how far they spread."""

    name: str
    method: str
    steps: int
    values: dict[str, float | None]
    spread: dict[str, float] = field(default_factory=dict)
    """Standard deviation over trainings, none for a single one; of `speed_up`, over rounds."""
    trainings: int = 1
    faults: int = 0
    """Pictures that are black, constant or not a number."""
    shown: tuple[Tensor, ...] = ()
    """The first pictures, (3, H, W) in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything the report says."""

    settings: DistillSettings
    lines: tuple[Line, ...]
    prompts: tuple[str, ...]
    """Of the pictures shown."""
    left_out: tuple[str, ...]
    """Why columns are missing, one sentence each."""
    seconds: float

    def find(self, method: str, steps: int) -> Line | None:
        """Return the line of one way of painting, if it was measured."""
        return next((line for line in self.lines if (line.method, line.steps) == (method, steps)), None)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What pictures are measured with; a tool that is None leaves its columns out."""

    judge: Judge | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    features: ImageFeatures | None = None
    sprites: SpriteCache | None = None


def compare_students(
    base: Base,
    students: Sequence[tuple[str, Path]],
    tools: Tools,
    settings: DistillSettings,
    on_progress: OnProgress = lambda _what, _done, _total: None,
    base_hash: str | None = None,
) -> Comparison:
    """Paint with the base and all students, and measure.

    Args:
        base: the teacher, a flow.
        students: a name and a LoRA file each; equal names are trainings with other seeds.
        tools: what to measure with.
        settings: the published figures are those of the defaults.
        on_progress: called after every batch.
        base_hash: of the base's weights; the report names students that were made for others.

    Raises:
        LoraError: a student's file cannot be used with this base; nothing has been painted then.
    """
    strangers = [remark for name, path in students if (remark := _find_stranger(base, name, path, base_hash))]
    started = time.perf_counter()
    asks = build_suites(settings.prompts, settings.seed)
    table = _Table(base, tools, settings, asks, on_progress)
    groups = [
        [Contender(method="base", steps=steps, guidance=settings.guidance)]
        for steps in (settings.teacher_steps, *settings.base_steps)
    ]
    for name in dict.fromkeys(name for name, _ in students):
        files = [path for other, path in students if other == name]
        groups += [
            [Contender(method=name, steps=steps, guidance=1.0, lora=path) for path in files]
            for steps in settings.student_steps
        ]
    lines = [table.measure(group) for group in groups]
    rounds = time_in_turns(base, [group[0] for group in groups], asks, settings.timed, on_progress)
    return Comparison(
        settings=settings,
        lines=tuple(with_times(line, times, rounds[0]) for line, times in zip(lines, rounds, strict=True)),
        prompts=tuple(ask.prompt for ask in asks[:: max(1, len(asks) // settings.shown)][: settings.shown]),
        left_out=(*table.left_out, *strangers),
        seconds=time.perf_counter() - started,
    )


def _find_stranger(base: Base, name: str, path: Path, base_hash: str | None) -> str | None:
    """Read a student, and return a sentence if it was made for other weights."""
    made_for = read_lora(path, base.modules(), family=base.family).metadata.base_hash
    if None in (made_for, base_hash) or made_for == base_hash:
        return None
    return f"{name} ({path.name}) was distilled from other weights of the base."


class _Table:
    """Measures one contender after another against the first."""

    def __init__(
        self,
        base: Base,
        tools: Tools,
        settings: DistillSettings,
        asks: Sequence[Ask],
        on_progress: OnProgress,
    ) -> None:
        self.base, self.tools, self.settings = base, tools, settings
        self.asks, self.on_progress = asks, on_progress
        self.heard = reported(tools.accuracy)
        self.teacher: Tensor | None = None
        self.teacher_values: dict[str, float | None] = {}
        self.left_out: list[str] = []
        self.real = self._real_features()
        if tools.judge is None:
            self.left_out.append("No judge's weights: the judge's column is left out.")

    def measure(self, group: Sequence[Contender]) -> Line:
        """Measure one line of the table."""
        measured = []
        for contender in group:
            with worn(self.base, contender.lora):
                measured.append(self._measure(contender))
        trainings, faults, shown = zip(*measured, strict=True)
        known = {
            name: [value for one in trainings if (value := one.get(name)) is not None] for name in COLUMNS
        }
        spread = {name: statistics.stdev(values) for name, values in known.items() if len(values) > 1}
        return Line(
            name=group[0].name,
            method=group[0].method,
            steps=group[0].steps,
            values={name: statistics.fmean(values) if values else None for name, values in known.items()},
            spread=spread,
            trainings=len(group),
            faults=sum(faults),
            shown=shown[0],
        )

    def _measure(self, contender: Contender) -> tuple[dict[str, float | None], int, tuple[Tensor, ...]]:
        prompts, seeds = [ask.prompt for ask in self.asks], [ask.seed for ask in self.asks]
        pictures = self._paint(contender, prompts, seeds, contender.name)
        faults = sum(find_fault(one) is not None for one in pictures)
        pictures = pictures.nan_to_num(0.0)
        values: dict[str, float | None] = {
            "saturation": saturation(pictures), "high_frequencies": high_frequencies(pictures),
            **_costs(contender.lora),
        }  # fmt: skip
        if self.teacher is None:
            self.teacher = pictures
        elif len(pictures):
            values["psnr"] = float(psnr(pictures, self.teacher).clamp(max=99).mean())
            values["ssim"] = float(ssim(pictures, self.teacher).mean())
        if self.tools.judge is not None:
            values["judge"] = judge_score(self.tools.judge, self.asks, pictures, self.heard)
        if self.tools.features is not None:
            if self.real is not None:
                values["frechet"] = frechet(self.tools.features.describe(pictures), self.real)
            values["spread"] = self._spread(contender, self.tools.features)
        if not self.teacher_values:
            self.teacher_values = dict(values)
        spread, mine = self.teacher_values.get("spread"), values.get("spread")
        values["diversity"] = None if not spread or mine is None else 100 * mine / spread
        every = max(1, len(self.asks) // self.settings.shown)
        return values, faults, tuple(pictures[::every][: self.settings.shown])

    def _spread(self, contender: Contender, features: ImageFeatures) -> float:
        count, seeds = self.settings.diverse_prompts, self.settings.diverse_seeds
        asks = self.asks[:: max(1, len(self.asks) // count)][:count]
        prompts = [ask.prompt for ask in asks for _ in range(seeds)]
        noises = [DIVERSITY_SEED + index for index in range(len(prompts))]
        pictures = self._paint(contender, prompts, noises, f"{contender.name}: diversity").nan_to_num(0.0)
        return diversity(features.describe(pictures).reshape(len(asks), seeds, -1))

    def _paint(self, contender: Contender, prompts: Sequence[str], seeds: Sequence[int], what: str) -> Tensor:
        parts = []
        for start in range(0, len(prompts), self.settings.batch):
            chosen = slice(start, start + self.settings.batch)
            parts.append(paint(self.base, prompts[chosen], seeds[chosen], contender))
            self.on_progress(what, min(chosen.stop, len(prompts)), len(prompts))
        return torch.cat(parts)

    def _real_features(self) -> Tensor | None:
        if self.tools.features is None:
            self.left_out.append("No image network: Frechet distance and diversity are left out.")
            return None
        if self.tools.sprites is None or not self.settings.reals:
            self.left_out.append("No sprites to render with: the Frechet distance is left out.")
            return None
        parts = []
        scenes = unseen_scenes(self.settings.reals, REAL_SEED)
        try:
            for start in range(0, len(scenes), 32):
                rendered = [render_tensor(scene, self.tools.sprites) for scene in scenes[start : start + 32]]
                parts.append(self.tools.features.describe(torch.stack(rendered)))
                self.on_progress("rendering real scenes", start + len(rendered), len(scenes))
        except AssetError as error:
            self.left_out.append(f"The Frechet distance is left out: {error}.")
            return None
        return torch.cat(parts)


def time_in_turns(
    base: Base, contenders: Sequence[Contender], asks: Sequence[Ask], rounds: int, on_progress: OnProgress
) -> list[list[float]]:
    """Return the seconds from a prompt to a picture painted alone, by contender and round.

    A machine's speed drifts: to be compared is what was painted within one round.
    """
    times: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds):
        for done, (contender, mine) in enumerate(zip(contenders, times, strict=True), 1):
            with worn(base, contender.lora):
                # The first finds other weights than before, and prepares anew.
                for ask in (asks[2 * number % len(asks)], asks[(2 * number + 1) % len(asks)]):
                    started = time.perf_counter()
                    paint(base, [ask.prompt], [ask.seed], contender)
                    seconds = time.perf_counter() - started
            mine.append(seconds)
            on_progress("painting in turns", number * len(contenders) + done, rounds * len(contenders))
    return times


def with_times(line: Line, times: Sequence[float], teacher: Sequence[float]) -> Line:
    """Return the line with its median time and its speed-up over the teacher, the median over rounds."""
    ratios = [slow / mine for slow, mine in zip(teacher, times, strict=True)]
    known = {"seconds": statistics.median(times), "speed_up": statistics.median(ratios)}
    # A single training has no spread, but its times have one.
    spread = {} if len(ratios) < 2 else {"speed_up": statistics.stdev(ratios)}
    return replace(line, values={**line.values, **known}, spread={**line.spread, **spread})


def judge_score(judge: Judge, asks: Sequence[Ask], pictures: Tensor, heard: frozenset[Attribute]) -> float:
    """Return how much of what was asked for and can be judged is right, in percent."""
    right = total = 0
    for start in range(0, len(asks), 16):
        group = pictures[start : start + 16]
        for offset, verdict in enumerate(judge.look(group)):
            ask = asks[start + offset]
            answer = SuiteAnswer(ask=ask, verdict=verdict, fault=find_fault(group[offset]))
            for attribute in ask.asked & heard:
                right += answer.right(attribute)
                total += 1
    return 100 * right / max(1, total)


def _costs(lora: Path | None) -> dict[str, float | None]:
    """Return a file's size, and how long its training took, if that lies beside it."""
    if lora is None:
        return {}
    costs: dict[str, float | None] = {"megabytes": lora.stat().st_size / 1e6}
    checkpoint = lora.with_name("checkpoint.safetensors")
    try:
        with safe_open(checkpoint, framework="pt") as file:
            seconds = float((file.metadata() or {}).get("seconds", "nan"))
    except (OSError, SafetensorError, ValueError):
        return costs
    return {**costs, "minutes": seconds / 60} if math.isfinite(seconds) else costs
