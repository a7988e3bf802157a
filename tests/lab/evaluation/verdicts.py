"""A scene and verdicts on it."""

from __future__ import annotations

from allaprima.lab.evaluation.accuracy import ATTRIBUTES
from allaprima.lab.evaluation.judge import Seen, Verdict
from allaprima.lab.evaluation.rows import SuiteAnswer
from allaprima.lab.evaluation.suites import Ask, Suite
from allaprima.lab.scenes.spec import Scene, Subject

SCENE = Scene(
    seed=1,
    subjects=(
        Subject(kind="cat", count=2, side="left", accessory="crown"),
        Subject(kind="car", side="right"),
    ),
    place="beach",
    hour="night",
    weather="rain",
)


CAT = Seen(kind="cat", count=2, x=0.3, accessory="crown", belief=0.9)


CAR = Seen(kind="car", count=1, x=0.7, accessory=None, belief=0.9)


GOOD = Verdict(things=(CAT, CAR), place="beach", hour="night", weather="rain")


ALL = frozenset(ATTRIBUTES)


def answer(verdict: Verdict = GOOD, suite: Suite = "one subject", fault: str | None = None) -> SuiteAnswer:
    ask = Ask(suite=suite, prompt="cats", language="en", scene=SCENE, asked=ALL, seed=0)
    return SuiteAnswer(ask=ask, verdict=verdict, fault=fault)
