"""The evaluation of Vignette: a thousand prompts painted and judged, its autoencoder measured, one set of rows.

evaluation = evaluate_vignette(load_vignette(), *load_judge(), EvaluationSettings())
for row in evaluation.rows:
    print(row.name, row.value, row.state)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch
from torch import Tensor

from allaprima.core.progress import OnProgress
from allaprima.lab.evaluation.accuracy import Attribute, measure_judge, render_tensor, reported, unseen_scenes
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.metrics import find_fault, psnr, ssim
from allaprima.lab.evaluation.painting import PaintSettings, paint_batches
from allaprima.lab.evaluation.report_files import encode_jpeg
from allaprima.lab.evaluation.rows import ReportRow, SuiteAnswer, painting_rows
from allaprima.lab.evaluation.suites import Ask, build_suites
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.contract.base import Base

UNSEEN_SEED = 5_000_000_000
"""The first scene that the autoencoder is measured on."""
SHOWN_PER_SUITE = 18
SHOWN_SIDE = 160


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What was asked and how it was painted."""

    prompts: int = 1000
    seed: int = 0
    paint: PaintSettings = field(default_factory=PaintSettings)
    autoencoder_scenes: int = 500
    judged_scenes: int = 200
    """Scenes the judge sees through the autoencoder, to tell how much of an error is the judge's own."""


@dataclass(frozen=True, kw_only=True)
class ReportPicture:
    """A painted picture for the report, as a small JPEG."""

    answer: SuiteAnswer
    right: bool
    jpeg: bytes


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything a report says."""

    settings: EvaluationSettings
    rows: tuple[ReportRow, ...]
    accuracy: dict[str, float]
    """How often the judge is right on rendered scenes, by attribute."""
    through_autoencoder: dict[str, float]
    """The same on the autoencoder's reconstructions; empty where that was not measured."""
    shown: tuple[ReportPicture, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Return plain values; the pictures are left out."""
        return {
            "settings": asdict(self.settings),
            "rows": [row.to_json() for row in self.rows],
            "judge": {"rendered": self.accuracy, "through_autoencoder": self.through_autoencoder},
            "seconds": round(self.seconds, 1),
        }


def evaluate_vignette(
    base: Base,
    judge: Judge,
    accuracy: Mapping[str, float],
    settings: EvaluationSettings,
    *,
    autoencoder: Autoencoder | None = None,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> Evaluation:
    """Paint all suites, let the judge look, and measure the autoencoder.

    Args:
        base: what paints.
        judge: what looks.
        accuracy: how often the judge is right on rendered scenes; what it gets wrong too often is not reported.
        settings: the published figures are those of the defaults.
        autoencoder: the base's, to be measured on scenes it has not seen; needs the sprite cache. None leaves it out.
        on_progress: called after every batch.
    """
    started = time.perf_counter()
    rows = [
        ReportRow(name="autoencoder PSNR", unit="dB", must=30, aim=33),
        ReportRow(name="autoencoder SSIM", unit="", must=0.93, aim=0.96),
    ]
    through: dict[str, float] = {}
    if autoencoder is not None:
        rows = measure_autoencoder(autoencoder, settings.autoencoder_scenes, on_progress)
        through = _judge_through(judge, autoencoder, settings.judged_scenes, on_progress)
    asks, heard = build_suites(settings.prompts, settings.seed), reported(accuracy)
    painted = paint_batches(base, [ask.prompt for ask in asks], [ask.seed for ask in asks], settings.paint)
    answers, shown = judge_pictures(painted, judge, asks, heard, on_progress)
    return Evaluation(
        settings=settings,
        rows=(*rows, *painting_rows(answers, heard)),
        accuracy=dict(accuracy),
        through_autoencoder=through,
        shown=tuple(shown),
        seconds=time.perf_counter() - started,
    )


def judge_pictures(
    painted: Iterable[Tensor],
    judge: Judge,
    asks: Sequence[Ask],
    heard: frozenset[Attribute],
    on_progress: OnProgress,
) -> tuple[list[SuiteAnswer], list[ReportPicture]]:
    """Let the judge look at batches (B, 3, H, W) of what was asked for; the first of each suite are kept."""
    answers: list[SuiteAnswer] = []
    shown: list[ReportPicture] = []
    seen = Counter[str]()
    for pictures in painted:
        verdicts = judge.look(pictures.nan_to_num(0.0))
        for picture, verdict in zip(pictures, verdicts, strict=True):
            ask = asks[len(answers)]
            answer = SuiteAnswer(ask=ask, verdict=verdict, fault=find_fault(picture))
            answers.append(answer)
            seen[ask.suite] += 1
            if seen[ask.suite] <= SHOWN_PER_SUITE:
                right = answer.all_right(ask.asked & heard)
                shown.append(ReportPicture(answer=answer, right=right, jpeg=encode_jpeg(picture, SHOWN_SIDE)))
        on_progress("painting", len(answers), len(asks))
    return answers, shown


def measure_autoencoder(autoencoder: Autoencoder, scenes: int, on_progress: OnProgress) -> list[ReportRow]:
    """PSNR and SSIM, means over unseen scenes with their 95 % intervals."""
    sprites = SpriteCache()
    through = reconstruct(autoencoder)
    decibels: list[Tensor] = []
    similarities: list[Tensor] = []
    unseen = unseen_scenes(scenes, UNSEEN_SEED)
    for start in range(0, scenes, 8):
        pictures = torch.stack([render_tensor(scene, sprites) for scene in unseen[start : start + 8]])
        again = through(pictures)
        decibels.append(psnr(again, pictures))
        similarities.append(ssim(again, pictures))
        on_progress("reconstructing", min(start + 8, scenes), scenes)
    return [
        _mean_row("autoencoder PSNR", "dB", torch.cat(decibels), must=30, aim=33),
        _mean_row("autoencoder SSIM", "", torch.cat(similarities), must=0.93, aim=0.96),
    ]


def _mean_row(name: str, unit: Literal["dB", ""], values: Tensor, *, must: float, aim: float) -> ReportRow:
    mean = float(values.mean())
    half = 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return ReportRow(name=name, unit=unit, must=must, aim=aim, value=mean, low=mean - half, high=mean + half,
                     total=len(values))  # fmt: skip


def reconstruct(autoencoder: Autoencoder) -> Callable[[Tensor], Tensor]:
    """Return the autoencoder as a map of pictures (B, 3, H, W) in [0, 1], rounded to 8 bits as painted ones are."""

    @torch.inference_mode()
    def through(pictures: Tensor) -> Tensor:
        weight = next(autoencoder.parameters())
        pixels = (pictures * 2 - 1).to(weight.device, weight.dtype, memory_format=torch.channels_last)
        decoded = autoencoder.decode(autoencoder.encode(pixels)).float().cpu()
        return decoded.add(1).mul(127.5).round().clamp(0, 255).div(255)

    return through


def _judge_through(
    judge: Judge, autoencoder: Autoencoder, count: int, on_progress: OnProgress
) -> dict[str, float]:
    def judged(done: int) -> None:
        on_progress("judging reconstructions", done, count)

    scenes = unseen_scenes(count, UNSEEN_SEED)
    tallies = measure_judge(judge, scenes, SpriteCache(), alter=reconstruct(autoencoder), on_progress=judged)
    return {name: tally.rate for name, tally in tallies.items()}
