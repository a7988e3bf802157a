"""The rows of an evaluation: what was measured, what must be reached, what is aimed at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from allaprima.lab.evaluation.accuracy import Attribute, Tally
from allaprima.lab.evaluation.intervals import newcombe_interval, wilson_interval
from allaprima.lab.evaluation.judge import Verdict
from allaprima.lab.evaluation.suites import Ask, Suite
from allaprima.lab.scenes.spec import Subject

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
        if attribute in ("place", "hour", "weather"):
            return bool(getattr(verdict, attribute) == getattr(scene, attribute))
        return all(self._subject_right(attribute, subject) for subject in scene.subjects)

    def _subject_right(self, attribute: Attribute, subject: Subject) -> bool:
        seen = self.verdict.find(subject.kind)
        if seen is None:
            return False
        if attribute in ("count", "accessory"):
            return bool(getattr(seen, attribute) == getattr(subject, attribute))
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
    total = len(rights)
    row = ReportRow(
        name=name, unit="%", must=must, aim=aim, total=total, silent=not set(needs) <= set(reported)
    )
    if row.silent or not total:
        return row
    low, high = wilson_interval(sum(rights), total)
    return replace(row, value=100 * sum(rights) / total, low=100 * low, high=100 * high)


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
    total, silent = min(better.total, worse.total), not set(needs) <= set(reported)
    row = ReportRow(name=name, unit="points", must=must, aim=aim, total=total, silent=silent)
    if silent or not total:
        return row
    low, high = newcombe_interval((better.right, better.total), (worse.right, worse.total))
    return replace(row, value=100 * (better.rate - worse.rate), low=100 * low, high=100 * high)


def painting_rows(answers: Sequence[SuiteAnswer], reported: Collection[Attribute]) -> list[ReportRow]:
    """Return the rows of the pictures a base painted."""

    def of(*suites: Suite) -> list[SuiteAnswer]:
        return [answer for answer in answers if answer.ask.suite in suites]

    def rate(
        name: str,
        suites: tuple[Suite, ...],
        needs: tuple[Attribute, ...],
        must: float | None = None,
        aim: float | None = None,
    ) -> ReportRow:
        rights = [answer.all_right(needs) for answer in of(*suites) if answer.ask.asked >= set(needs)]
        return rate_row(name, rights, must=must, aim=aim, needs=needs, reported=reported)

    def gap(
        name: str, better: Suite, worse: Suite, needs: tuple[Attribute, ...], must: float, aim: float
    ) -> ReportRow:
        seen, behind = of(better), of(worse)
        # Chinese is the first scenes of the other suite once more.
        pair = (seen[: len(behind)] if worse == "chinese" else seen, behind)
        ahead, after = (
            Tally(right=sum(answer.all_right(needs) for answer in group), total=len(group)) for group in pair
        )
        return gap_row(name, ahead, after, must=must, aim=aim, needs=needs, reported=reported)

    one: tuple[Suite, ...] = ("one subject",)
    two: tuple[Suite, ...] = ("two subjects",)
    english: tuple[Suite, ...] = (*one, *two, "accessory", "count", "weather", "place and hour")
    alone = [answer.alone for answer in of(*one, *two)]
    words = [answer.all_right(answer.ask.asked) for answer in of("kept-out words")]
    faults = float(sum(answer.fault is not None for answer in answers))
    pairing: tuple[Attribute, ...] = ("kind", "count", "place")
    return [
        rate("one subject right", one, ("kind", "count"), 90, 99),
        rate("two subjects both right", two, ("kind",), 70, 92),
        rate("place right", english, ("place",), 95, 99),
        rate("hour right", english, ("hour",), 95, 99),
        rate("place and hour both right", english, ("place", "hour")),
        rate("accessory right", ("accessory",), ("kind", "accessory"), 70, 90),
        rate("count right", ("count",), ("kind", "count"), 70, 90),
        rate("weather right", ("weather",), ("weather",), 70, 90),
        gap("held-out pairings behind seen ones", "one subject", "held out", pairing, 4, 1),
        gap("Chinese behind English", "one subject", "chinese", (*pairing, "hour"), 5, 1),
        rate_row("words never in training captions", words, must=60, aim=85, needs=pairing, reported=reported),
        ReportRow(name="black, NaN or constant pictures", unit="pictures", must=0, aim=0, value=faults,
                  total=len(answers)),
        rate("left and right, where said", two, ("kind", "side")),
        rate_row("nothing else in the picture", alone, needs=pairing[:1], reported=reported),
    ]  # fmt: skip
