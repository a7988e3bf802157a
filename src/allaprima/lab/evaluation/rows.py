"""The rows of an evaluation: what was measured, what must be reached, what is aimed at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from allaprima.lab.evaluation.accuracy import Attribute, Tally
from allaprima.lab.evaluation.intervals import newcombe_interval, wilson_interval
from allaprima.lab.evaluation.judge import Verdict
from allaprima.lab.evaluation.suites import Ask, Suite

Unit = Literal["%", "points", "dB", "", "pictures"]
State = Literal["aim reached", "reached", "short", "not reported", "not measured", "told only"]


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One line of the report. Of "points" and "pictures" less is better, of all else more."""

    name: str
    unit: Unit
    must: float | None = None
    aim: float | None = None
    value: float | None = None
    """None where it was not measured, or may not be reported."""
    low: float | None = None
    """Lower end of the 95 % interval, in the row's unit."""
    high: float | None = None
    total: int = 0
    """How many pictures it was measured on."""
    silent: bool = False
    """The judge errs too often on an attribute that this row needs, so it is not reported."""

    @property
    def state(self) -> State:
        """How the value stands against what must be reached and what is aimed at."""
        if self.silent:
            return "not reported"
        if self.value is None:
            return "not measured"
        if self.must is None:
            return "told only"
        sign = -1 if self.unit in {"points", "pictures"} else 1
        if self.aim is not None and sign * self.value >= sign * self.aim:
            return "aim reached"
        return "reached" if sign * self.value >= sign * self.must else "short"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "state": self.state}


@dataclass(frozen=True, kw_only=True)
class SuiteAnswer:
    """One painted prompt and what the judge made of it."""

    ask: Ask
    verdict: Verdict
    fault: str | None = None
    """Black, NaN or constant: then nothing in it is right."""

    def right(self, attribute: Attribute) -> bool:
        """Return whether the picture shows this attribute as the scene has it, for every subject that has it."""
        scene, verdict = self.ask.scene, self.verdict
        if self.fault is not None:
            return False
        whole: dict[Attribute, bool] = {
            "place": verdict.place == scene.place,
            "hour": verdict.hour == scene.hour,
            "weather": verdict.weather == scene.weather,
        }
        if attribute in whole:
            return whole[attribute]
        return all(self._subject_right(attribute, index) for index in range(len(scene.subjects)))

    def _subject_right(self, attribute: Attribute, index: int) -> bool:
        subject = self.ask.scene.subjects[index]
        seen = self.verdict.find(subject.kind)
        if seen is None:
            return False
        if attribute == "count":
            return seen.count == subject.count
        if attribute == "accessory":
            return seen.accessory == subject.accessory
        return attribute != "side" or self.verdict.side(subject.kind) == subject.side

    def all_right(self, attributes: Iterable[Attribute]) -> bool:
        """Return whether all of these are right."""
        return all(self.right(attribute) for attribute in attributes)

    @property
    def alone(self) -> bool:
        """Whether nothing is in the picture but what the scene holds."""
        kinds = {subject.kind for subject in self.ask.scene.subjects}
        return self.fault is None and all(seen.kind in kinds for seen in self.verdict.things)


def rate_row(
    name: str,
    rights: Sequence[bool],
    *,
    must: float | None = None,
    aim: float | None = None,
    needs: Collection[Attribute] = (),
    reported: Collection[Attribute],
) -> ReportRow:
    """Return a row of the share of `rights`, in percent, silent unless all of `needs` are reported."""
    if not set(needs) <= set(reported):
        return ReportRow(name=name, unit="%", must=must, aim=aim, total=len(rights), silent=True)
    if not rights:
        return ReportRow(name=name, unit="%", must=must, aim=aim)
    low, high = (100 * end for end in wilson_interval(sum(rights), len(rights)))
    value = 100 * sum(rights) / len(rights)
    return ReportRow(
        name=name, unit="%", must=must, aim=aim, value=value, low=low, high=high, total=len(rights)
    )


def gap_row(
    name: str,
    better: Tally,
    worse: Tally,
    *,
    must: float,
    aim: float,
    needs: Collection[Attribute],
    reported: Collection[Attribute],
) -> ReportRow:
    """Return a row of how many points `worse` falls short of `better`; below zero it is ahead."""
    total = min(better.total, worse.total)
    if not set(needs) <= set(reported):
        return ReportRow(name=name, unit="points", must=must, aim=aim, total=total, silent=True)
    if total == 0:
        return ReportRow(name=name, unit="points", must=must, aim=aim)
    low, high = newcombe_interval((better.right, better.total), (worse.right, worse.total))
    gap = 100 * (better.rate - worse.rate)
    return ReportRow(
        name=name, unit="points", must=must, aim=aim, value=gap, low=100 * low, high=100 * high, total=total
    )


def painting_rows(answers: Sequence[SuiteAnswer], reported: Collection[Attribute]) -> list[ReportRow]:
    """Return the rows of the pictures a base painted."""

    def of(*suites: Suite) -> list[SuiteAnswer]:
        return [answer for answer in answers if answer.ask.suite in suites]

    def rate(
        name: str,
        group: Iterable[SuiteAnswer],
        needs: tuple[Attribute, ...],
        must: float | None,
        aim: float | None,
    ) -> ReportRow:
        rights = [answer.all_right(needs) for answer in group if answer.ask.asked >= set(needs)]
        return rate_row(name, rights, must=must, aim=aim, needs=needs, reported=reported)

    english = of("one subject", "two subjects", "accessory", "count", "weather", "place and hour")
    kind: tuple[Attribute, ...] = ("kind",)
    alone = [answer.alone for answer in of("one subject", "two subjects")]
    words = [answer.all_right(answer.ask.asked) for answer in of("kept-out words")]
    faults = sum(answer.fault is not None for answer in answers)
    return [
        rate("one subject right", of("one subject"), ("kind", "count"), 90, 99),
        rate("two subjects both right", of("two subjects"), ("kind",), 70, 92),
        rate("place right", english, ("place",), 95, 99),
        rate("hour right", english, ("hour",), 95, 99),
        rate("place and hour both right", english, ("place", "hour"), None, None),
        rate("accessory right", of("accessory"), ("kind", "accessory"), 70, 90),
        rate("count right", of("count"), ("kind", "count"), 70, 90),
        rate("weather right", of("weather"), ("weather",), 70, 90),
        *_gap_rows(of, reported),
        rate_row(
            "words never in training captions",
            words,
            must=60,
            aim=85,
            needs=("kind", "count", "place"),
            reported=reported,
        ),
        ReportRow(
            name="black, NaN or constant pictures",
            unit="pictures",
            must=0,
            aim=0,
            value=float(faults),
            total=len(answers),
        ),
        rate("left and right, where said", of("two subjects"), ("kind", "side"), None, None),
        rate_row("nothing else in the picture", alone, needs=kind, reported=reported),
    ]


def _gap_rows(of: Callable[..., list[SuiteAnswer]], reported: Collection[Attribute]) -> list[ReportRow]:
    """Compare held-out pairings with seen ones, and Chinese with English of the same scenes and noise."""
    pairing: tuple[Attribute, ...] = ("kind", "count", "place")
    language: tuple[Attribute, ...] = (*pairing, "hour")
    chinese = of("chinese")

    def count(group: Sequence[SuiteAnswer], needs: tuple[Attribute, ...]) -> Tally:
        return Tally(right=sum(answer.all_right(needs) for answer in group), total=len(group))

    return [
        gap_row(
            "held-out pairings behind seen ones",
            count(of("one subject"), pairing),
            count(of("held out"), pairing),
            must=4,
            aim=1,
            needs=pairing,
            reported=reported,
        ),
        gap_row(
            "Chinese behind English",
            count(of("one subject")[: len(chinese)], language),
            count(chinese, language),
            must=5,
            aim=1,
            needs=language,
            reported=reported,
        ),
    ]
