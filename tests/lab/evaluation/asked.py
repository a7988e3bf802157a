"""The asks of all suites."""

from __future__ import annotations

from functools import cache

from allaprima.lab.evaluation.suites import Ask, Suite, build_suites

PROMPTS = 120


@cache
def asks() -> tuple[Ask, ...]:
    return tuple(build_suites(PROMPTS))


def of(suite: Suite) -> list[Ask]:
    return [ask for ask in asks() if ask.suite == suite]
