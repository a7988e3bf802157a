"""How often the judge is right, and what may be reported."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.lab.evaluation.verdicts import ALL, CAR, GOOD, SCENE, answer

from allaprima.lab.evaluation.accuracy import (
    ATTRIBUTES,
    Tally,
    compare,
    measure_judge,
    reported,
    unseen_scenes,
)
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.rows import painting_rows
from allaprima.lab.evaluation.suites import SUITES
from allaprima.lab.scenes.sprites import SpriteCache


def test_a_stranger_counts_against_the_judge_and_is_told_of_the_painter() -> None:
    crowded = replace(GOOD, things=(*GOOD.things, replace(CAR, kind="bus")))
    assert compare(SCENE, crowded)["kind"] == Tally(right=2, total=3)
    assert answer(crowded).right("kind")
    assert not answer(crowded).alone


def test_an_attribute_under_98_percent_is_not_reported() -> None:
    accuracy: dict[str, float] = dict.fromkeys(map(str, ATTRIBUTES), 0.99)
    accuracy |= {"count": 0.979, "place": 0.98}
    heard = reported(accuracy)
    assert heard == ALL - {"count"}
    rows = {row.name: row for row in painting_rows([answer(suite=suite) for suite in SUITES], heard)}
    for name in ("one subject right", "count right", "words never in training captions"):
        assert rows[name].state == "not reported"
        assert rows[name].value is None
    assert rows["place right"].value == 100
    assert reported({}) == frozenset()


def test_the_judge_is_measured_on_scenes(sprites: SpriteCache, small_judge: Judge) -> None:
    scenes = unseen_scenes(3)
    done: list[int] = []
    tallies = measure_judge(small_judge, scenes, sprites, alter=torch.zeros_like, on_progress=done.append)
    assert set(tallies) == set(ATTRIBUTES)
    assert tallies["place"].total == 3
    assert done == [3]
