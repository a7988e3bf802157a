"""Report cards: what a LoRA does to a base, or what a base does, on a fixed set of prompts and seeds.

card = make_card(painter, CardSubject(name="ink", lora=LoraUse(name="ink")), CardTools(features=ImageFeatures.load()))
card.rows            # figures with their units, as of every evaluation

Everything is painted twice from the same noise, with the LoRA and without it, a picture at a time, as `prima paint`
does. Of a base that the judge knows, prompts come from its suites, so that it can be told what of them is painted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from allaprima.core.progress import OnProgress
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.sample_prompts import sample_prompts
from allaprima.core.turbo import names_turbo
from allaprima.lab.evaluation.accuracy import Attribute, Tally, reported
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.evaluation.intervals import wilson_interval
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.evaluation.metrics import find_fault
from allaprima.lab.evaluation.pictures import (
    contrast,
    frechet,
    high_frequencies,
    perceptual_distances,
    saturation,
)
from allaprima.lab.evaluation.rows import SuiteAnswer
from allaprima.lab.evaluation.suites import Ask, build_suites
from allaprima.paint.painter import Painter

SAMPLE_SEED = 7_000_000
"""The first noise of prompts that no suite brings."""
_BATCH = 16
"""Pictures that are looked at together."""


@dataclass(frozen=True, kw_only=True)
class CardSubject:
    """What a card is about."""

    name: str
    """As people call it."""
    lora: LoraUse | None = None
    """None for a card of the base."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its file says, by name, to be shown as it is."""
    accelerators: Collection[str] = ()
    """Names of LoRAs that do turbo's work: without such a one the plain base is painted."""


@dataclass(frozen=True, kw_only=True)
class CardTools:
    """What pictures are looked at with; what is None leaves its figures out."""

    judge: Judge | None = None
    """Of Vignette's scenes alone."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """How often the judge is right, by attribute."""
    features: ImageFeatures | None = None


@dataclass(frozen=True, kw_only=True)
class CardColumn:
    """What was painted in one way."""

    request: GenerationRequest
    """The first one, for its settings."""
    pictures: Tensor
    """(N, 3, H, W) in [0, 1]."""
    seconds: float
    """A picture, the median."""
    faults: int
    """Pictures that are black, constant or not finite."""
    answers: tuple[SuiteAnswer, ...] = ()
    """What the judge saw, a picture each; nothing without a judge."""

    def tally(self, attributes: Collection[Attribute]) -> Tally:
        """Return how much of what was asked for and is heard is right."""
        rights = [answer.right(one) for answer in self.answers for one in answer.ask.asked & set(attributes)]
        return Tally(right=sum(rights), total=len(rights))

    def is_right(self, number: int, attributes: Collection[Attribute]) -> bool:
        """Return whether the picture of that number shows all that was asked for."""
        answer = self.answers[number]
        return answer.all_right(answer.ask.asked & set(attributes))


@dataclass(frozen=True, kw_only=True)
class ReportCard:
    """Everything a card says."""

    subject: CardSubject
    base: str
    prompts: tuple[str, ...]
    painted: CardColumn
    """With the LoRA; of a base, what it paints by itself."""
    without: CardColumn | None
    """The same without the LoRA."""
    rows: tuple[Measure, ...]
    heard: frozenset[Attribute]
    """Attributes that the judge may be heard on; none without a judge."""
    distances: tuple[float, ...] = ()
    """How far each picture is from that without, 1 being as far as pictures of different prompts."""
    left_out: tuple[str, ...] = ()
    """Why figures are missing, a sentence each."""
    remarks: tuple[str, ...] = ()
    """What the requests say and their pictures do not honour, a sentence each."""
    seconds: float = 0.0

    def changed(self, *, broken: bool) -> list[int]:
        """Return the numbers of the prompts that only one column shows rightly: `broken` by the LoRA, or mended."""
        if self.without is None or not self.painted.answers:
            return []
        lost, kept = (self.painted, self.without) if broken else (self.without, self.painted)
        numbers = range(len(self.prompts))
        return [
            one for one in numbers if kept.is_right(one, self.heard) and not lost.is_right(one, self.heard)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; pictures are left out."""
        columns = {"painted": self.painted, "without": self.without}
        return {
            "name": self.subject.name, "base": self.base, "prompts": len(self.prompts),
            "rows": [row.to_json() for row in self.rows],
            "requests": {name: column.request.to_json() for name, column in columns.items() if column},
            "broken": [self.prompts[one] for one in self.changed(broken=True)],
            "mended": [self.prompts[one] for one in self.changed(broken=False)],
            "file": dict(self.subject.facts), "left_out": list(self.left_out),
            "remarks": list(self.remarks), "seconds": round(self.seconds, 1),
        }  # fmt: skip


def make_card(
    painter: Painter,
    subject: CardSubject,
    tools: CardTools,
    prompts: int = 36,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> ReportCard:
    """Paint and measure.

    Args:
        painter: with the base that is meant, and the folder of the LoRA.
        subject: what the card is about.
        tools: what to look with.
        prompts: how many, at least 9 for a base that the judge knows.
        on_progress: called after every picture.

    Raises:
        LoraError: the LoRA is not there, or cannot be used with this base.
        OutOfMemoryError: as `Painter.paint`.
    """
    started, left_out = time.perf_counter(), list[str]()
    judged = painter.base.family == "vignette" and tools.judge is not None
    asks = build_suites(prompts) if judged else []
    texts = [ask.prompt for ask in asks] or sample_prompts(prompts)
    seeds = [ask.seed for ask in asks] or [SAMPLE_SEED + number for number in range(prompts)]
    if not judged:
        why = (
            "there is no judge"
            if tools.judge is None
            else f"the judge knows Vignette alone, not {painter.base.name}"
        )
        left_out.append(f"Whether prompts are followed is not measured: {why}.")
    columns, remarks = list[CardColumn](), dict[str, None]()
    ways = [subject.lora] if subject.lora is None else [subject.lora, None]
    for way in ways:
        turbo = (
            way is not None or subject.lora is None or not names_turbo([subject.lora], subject.accelerators)
        )
        given = {"loras": () if way is None else (way,)}
        requests = [
            painter.request(turbo=turbo, prompt=text, seed=seed, **given)
            for text, seed in zip(texts, seeds, strict=True)
        ]
        remarks |= dict.fromkeys(painter.remarks(requests[0]))
        what = f"painting {'without ' if way is None and subject.lora is not None else ''}{subject.name}"
        columns.append(_paint(painter, requests, asks, tools.judge, what, on_progress))
    painted, without = columns[0], columns[1] if len(columns) > 1 else None
    heard = reported(tools.accuracy) if judged else frozenset()
    rows, distances = _following(painted, without, heard), list[float]()
    if without is not None and tools.features is not None:
        distances = _likeness(painted.pictures, without.pictures, tools.features)
        described = [tools.features.describe(column.pictures) for column in (painted, without)]
        rows += [
            Measure(name="distance from the base", value=statistics.fmean(distances), unit="", better="less"),
            Measure(name="Frechet distance from the base", value=frechet(*described), unit="", better="less"),
        ]
    elif without is not None:
        left_out.append("Likeness to the base is not measured: there is no image network.")
    rows += _looks(painted, without) + _costs(painted, without, subject)
    return ReportCard(
        subject=subject, base=painter.base.name, prompts=tuple(texts), painted=painted, without=without,
        rows=tuple(rows), heard=heard, distances=tuple(distances), left_out=tuple(left_out),
        remarks=tuple(remarks), seconds=time.perf_counter() - started,
    )  # fmt: skip


def _paint(
    painter: Painter,
    requests: Sequence[GenerationRequest],
    asks: Sequence[Ask],
    judge: Judge | None,
    what: str,
    on_progress: OnProgress,
) -> CardColumn:
    pictures, times = [], []
    painter.paint(requests[0])  # the first waits for files and for what is prepared once
    for request in requests:
        started = time.perf_counter()
        picture = painter.paint(request)
        times.append(time.perf_counter() - started)
        pixels = torch.frombuffer(bytearray(picture.rgb), dtype=torch.uint8)
        pictures.append(pixels.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255)
        on_progress(what, len(pictures), len(requests))
    stacked = torch.stack(pictures)
    faults = [find_fault(one) for one in stacked]
    answers: list[SuiteAnswer] = []
    if asks and judge is not None:
        verdicts = [one for part in torch.split(stacked, _BATCH) for one in judge.look(part)]
        told = zip(asks, verdicts, faults, strict=True)
        answers = [SuiteAnswer(ask=ask, verdict=verdict, fault=fault) for ask, verdict, fault in told]
    return CardColumn(
        request=requests[0],
        pictures=stacked,
        seconds=statistics.median(times),
        faults=sum(fault is not None for fault in faults),
        answers=tuple(answers),
    )


def _following(painted: CardColumn, without: CardColumn | None, heard: frozenset[Attribute]) -> list[Measure]:
    """Return how much of what prompts ask is right, and in which points that differs from the base."""
    if not painted.answers:
        return []
    columns = {"": painted, ", without": without}
    tallies = {name: column.tally(heard) for name, column in columns.items() if column is not None}
    rows = []
    for name, tally in tallies.items():
        rows.append(Measure(name=f"prompt following{name}", value=100 * tally.rate, unit="%", better="more"))
        low, high = wilson_interval(tally.right, tally.total)
        rows += [
            Measure(name=f"prompt following{name}, {end} end", value=100 * rate, unit="%", better="more")
            for end, rate in (("lower", low), ("upper", high))
        ]
    for attribute in sorted(heard):
        for name, column in columns.items():
            if column is not None and (tally := column.tally({attribute})).total:
                rows.append(
                    Measure(name=f"{attribute}{name}", value=100 * tally.rate, unit="%", better="more")
                )
    return rows


def _likeness(painted: Tensor, without: Tensor, features: ImageFeatures) -> list[float]:
    """Return the distance of each two pictures, in that of pictures of different prompts."""
    maps: list[list[Tensor]] = []
    with torch.no_grad():
        for pictures in (painted, without):
            parts = [features.maps(part) for part in torch.split(pictures, _BATCH)]
            maps.append([torch.cat(layer) for layer in zip(*parts, strict=True)])
        apart = perceptual_distances(maps[0], maps[1])
        strangers = perceptual_distances(maps[1], [layer.roll(1, 0) for layer in maps[1]])
    return [float(one) for one in apart / strangers.mean().clamp(min=1e-9)]


def _looks(painted: CardColumn, without: CardColumn | None) -> list[Measure]:
    columns = {"": painted, ", without": without}
    kinds = {"saturation": saturation, "contrast": contrast, "fine detail": high_frequencies}
    return [
        Measure(name=f"{kind}{name}", value=measure(column.pictures), unit="", better="more")
        for kind, measure in kinds.items()
        for name, column in columns.items()
        if column is not None
    ]


def _costs(painted: CardColumn, without: CardColumn | None, subject: CardSubject) -> list[Measure]:
    columns = {"": painted, ", without": without}
    rows = []
    for name, column in columns.items():
        if column is not None:
            rows += [
                Measure(name=f"time a picture{name}", value=column.seconds, unit="s", better="less"),
                Measure(
                    name=f"faulty pictures{name}", value=float(column.faults), unit="", better="less", must=0
                ),
            ]
    if without is not None:
        speed = without.seconds / painted.seconds
        rows.append(Measure(name="speed-up", value=speed, unit="times", better="more"))
    if size := subject.facts.get("bytes"):
        rows.append(Measure(name="file size", value=size / 1e6, unit="MB", better="less"))
    return rows
