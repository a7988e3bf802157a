"""The fixed sets of prompts a base is asked to paint, and what each of them asks for.

    for ask in build_suites(1000):
        ask.prompt, ask.scene, ask.seed

Prompts are worded as people type them (:func:`allaprima.lab.scenes.captions.describe`), drawn again until they
say what their suite is about, and are judged on what they say alone: what a prompt leaves open cannot be wrong.
Scenes come from seeds that nothing was trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from allaprima.lab.evaluation.accuracy import Attribute
from allaprima.lab.evaluation.kept_out import kept_out_prompt
from allaprima.lab.scenes.captions import describe
from allaprima.lab.scenes.draw import HOURS, PLACES, WEATHERS, WITHOUT_WEATHER, Split, draw_scene
from allaprima.lab.scenes.kept_out import kept_out
from allaprima.lab.scenes.spec import Scene
from allaprima.paint.layout.vocabulary import Language

Suite = Literal[
    "one subject", "two subjects", "accessory", "count", "weather", "place and hour", "held out", "chinese",
    "kept-out words",
]  # fmt: skip
SUITES: tuple[Suite, ...] = get_args(Suite)

SHARES: dict[Suite, int] = {
    "one subject": 150, "two subjects": 130, "accessory": 90, "count": 90, "weather": 90, "place and hour": 100,
    "held out": 100, "chinese": 100, "kept-out words": 150,
}  # fmt: skip
"""Of 1,000 prompts, how many each suite gets."""

SUITE_SEED = 4_000_000_000
"""The first scene of the suites; the base learns below 1,000,000,000, the judge below this."""
_SEEDS_PER_SUITE = 10_000_000
_MOST_TRIES = 2_000


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One prompt, and the scene it speaks of."""

    suite: Suite
    prompt: str
    language: Language
    scene: Scene
    asked: frozenset[Attribute]
    """What the prompt says of the scene and is judged on."""
    seed: int
    """Seed of the noise."""
    word: str | None = None
    """The kept-out word in the prompt."""


def build_suites(prompts: int = 1000, seed: int = 0) -> list[Ask]:
    """Return the asks of all suites, suite by suite; the same arguments give the same asks.

    `seed` moves all scenes and noises; the published figures are those of 0.

    Raises:
        ValueError: `prompts` is too few for every suite to get one.
    """
    counts = share_out(prompts).items()
    makers = {"kept-out words": _kept_out}
    return [ask for suite, count in counts for ask in makers.get(suite, _plain)(suite, count, seed)]


def share_out(prompts: int) -> dict[Suite, int]:
    """Share prompts among the suites in proportion to `SHARES`, by largest remainder, at least one each."""
    if prompts < len(SUITES):
        raise ValueError(f"got {prompts} prompts; expected at least {len(SUITES)}, one for each suite")
    total = sum(SHARES.values())
    counts = {suite: max(1, SHARES[suite] * prompts // total) for suite in SUITES}
    by_need = sorted(SUITES, key=lambda suite: counts[suite] - SHARES[suite] * prompts / total)
    step = 1 if sum(counts.values()) < prompts else -1
    while sum(counts.values()) != prompts:
        suite = by_need.pop(0 if step > 0 else -1)
        counts[suite] = max(1, counts[suite] + step)
        by_need = by_need or list(SUITES)
    return counts


def _alone(scene: Scene) -> bool:
    """Return whether the scene is one copy of one thing that wears nothing."""
    subject = scene.subjects[0]
    return len(scene.subjects) == 1 and subject.count == 1 and subject.accessory is None


_WANTED: dict[Suite, Callable[[Scene, int], bool]] = {
    "one subject": lambda scene, _: _alone(scene),
    "held out": lambda scene, _: _alone(scene),
    "two subjects": lambda scene, _: len(scene.subjects) == 2,
    "accessory": lambda scene, _: len(scene.subjects) == 1 and scene.subjects[0].accessory is not None,
    "count": lambda scene, _: len(scene.subjects) == 1 and scene.subjects[0].count > 1,
    "weather": lambda scene, index: (
        _alone(scene)
        and scene.place not in WITHOUT_WEATHER
        and scene.weather == WEATHERS[index % len(WEATHERS)]
    ),
    "place and hour": lambda scene, index: (
        _alone(scene)
        and scene.place == PLACES[index % len(PLACES)]
        and (scene.hour == HOURS[index // len(PLACES) % len(HOURS)] or scene.place == "space")
    ),
}
"""Which scenes a suite takes as its index-th: weathers, places and hours in turn, all else as it is drawn."""

_ABOUT: frozenset[Suite] = frozenset({"accessory", "count", "weather"})
"""Suites whose prompts must say the subjects and what the suite is called; those of the others place and hour."""


def _plain(suite: Suite, count: int, seed: int) -> list[Ask]:
    """Put scenes into words; "chinese" asks for the first of "one subject" once more, with the same noise."""
    source: Suite = "one subject" if suite == "chinese" else suite
    language: Language = "zh" if suite == "chinese" else "en"
    noise = first_noise(source, seed)
    return [
        _ask(suite, scene, language, noise + index)
        for index, scene in enumerate(_scenes(source, count, seed))
    ]


def _kept_out(suite: Suite, count: int, seed: int) -> list[Ask]:
    """Ask for every kept-out word in turn, somewhere at some hour."""
    words, start = kept_out(), first_noise(suite, seed)
    order = random.Random(f"kept out {seed}").sample(range(len(words)), len(words))
    asks = []
    for noise in range(start, start + count):
        word = words[order[(noise - start) % len(words)]]
        scene, prompt = kept_out_prompt(word, noise)
        names: set[Attribute] = {"kind", "count"} if word.what == "subject" else {"place"}
        asks.append(Ask(suite=suite, prompt=prompt, language=word.language, scene=scene, asked=frozenset(names),
                        seed=noise, word=word.word))  # fmt: skip
    return asks


def first_noise(suite: Suite, seed: int) -> int:
    """Return the first seed of a suite, of its scenes and of its noises."""
    return SUITE_SEED + (seed * len(SUITES) + SUITES.index(suite)) * _SEEDS_PER_SUITE


def _scenes(suite: Suite, count: int, seed: int) -> Iterator[Scene]:
    split: Split = "heldout" if suite == "held out" else "train"
    at = first_noise(suite, seed)
    for index in range(count):
        while not _WANTED[suite](scene := draw_scene(at, split=split), index):
            at += 1
        at += 1
        yield scene


def _ask(suite: Suite, scene: Scene, language: Language, noise: int) -> Ask:
    needed = {"subjects", suite} if suite in _ABOUT else {"subjects", "place", "hour"}
    rng = random.Random(f"{suite} {noise} {language}")
    for _ in range(_MOST_TRIES):
        told = describe(scene, rng, language)
        if needed <= told.said:
            return Ask(suite=suite, prompt=told.text, language=language, scene=scene,
                       asked=_asked(scene, told.said), seed=noise)  # fmt: skip
    raise AssertionError(f"no caption of {scene} says {', '.join(sorted(needed))} in {_MOST_TRIES} tries")


def _asked(scene: Scene, said: frozenset[str]) -> frozenset[Attribute]:
    """Return what can be judged of what is said: kinds always, and the number unless it says "some"."""
    names: tuple[Attribute, ...] = ("count", "side", "accessory", "place", "hour", "weather")
    asked: set[Attribute] = {"kind", *(name for name in names if name in said)}
    if all(subject.count == 1 for subject in scene.subjects):
        asked.add("count")  # "a cat" says one
    return frozenset(asked)
