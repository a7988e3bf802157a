"""The prompts: fixed, shared out as said, held out where they say so, and asked only what they tell."""

from __future__ import annotations

import pytest
from tests.lab.evaluation.asked import PROMPTS, asks, of

from allaprima.lab.evaluation.suites import SHARES, SUITES, build_suites, share_out
from allaprima.lab.scenes.holdout import is_heldout
from allaprima.lab.training.judge import LOOK_SEED, TRAIN_SEED


def test_the_same_arguments_give_the_same_asks() -> None:
    assert build_suites(30) == build_suites(30)
    assert build_suites(30, seed=1) != build_suites(30)


def test_a_smaller_evaluation_asks_the_first_scenes_of_a_larger_one() -> None:
    small = [ask for ask in build_suites(30) if ask.suite == "one subject"]
    assert [ask.scene for ask in small] == [ask.scene for ask in of("one subject")][: len(small)]


@pytest.mark.parametrize("prompts", [9, 10, 57, 777, 1000, 1001])
def test_prompts_are_shared_out_to_the_last(prompts: int) -> None:
    counts = share_out(prompts)
    assert sum(counts.values()) == prompts
    assert min(counts.values()) >= 1
    if prompts == 1000:
        assert counts == SHARES


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 8 prompts; expected at least 9"):
        share_out(8)


def test_every_suite_is_about_what_it_says() -> None:
    assert {ask.suite for ask in asks()} == set(SUITES)
    assert len(asks()) == PROMPTS
    for ask in asks():
        subjects = ask.scene.subjects
        assert len(subjects) == (2 if ask.suite == "two subjects" else 1)
        assert (subjects[0].count > 1) == (ask.suite == "count")
        assert ask.suite != "accessory" or subjects[0].accessory is not None
        if ask.suite in {"accessory", "count", "weather"}:
            assert ask.suite in ask.asked
        elif ask.suite != "kept-out words":
            assert {"kind", "place", "hour"} <= ask.asked


def test_held_out_scenes_are_held_out_and_others_are_not() -> None:
    for ask in asks():
        if ask.suite != "kept-out words":
            assert is_heldout(ask.scene) == (ask.suite == "held out")


def test_chinese_asks_for_the_scenes_of_the_english_ones_with_the_same_noise() -> None:
    chinese, english = of("chinese"), of("one subject")
    assert [(ask.scene, ask.seed) for ask in chinese] == [
        (ask.scene, ask.seed) for ask in english[: len(chinese)]
    ]
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in ask.prompt) for ask in chinese)


def test_scenes_and_noises_are_no_one_elses() -> None:
    seeds = [ask.seed for ask in asks() if ask.suite != "chinese"]
    assert len(set(seeds)) == len(seeds)
    assert min(ask.scene.seed for ask in asks()) >= 4_000_000_000
    assert 1_000_000_000 < TRAIN_SEED < LOOK_SEED < 4_000_000_000
