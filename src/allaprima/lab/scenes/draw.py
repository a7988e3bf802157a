"""Drawing scenes: a seed in, one plain description of a picture out, the same everywhere.

The shares below decide what the model learns from. They are chosen so that most pictures show one large
thing clearly, while counts, sides, accessories and people are common enough to be learnt.
"""

from __future__ import annotations

import random
from typing import Final, Literal, get_args

from allaprima.lab.scenes.holdout import is_heldout, is_heldout_subject
from allaprima.lab.scenes.people import draw_person
from allaprima.lab.scenes.spec import Scene, Style, Subject
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Accessory, Hour, Place, Side, SubjectSize, Weather

Split = Literal["train", "heldout", "any"]

PLACES: Final[tuple[Place, ...]] = get_args(Place)
HOURS: Final[tuple[Hour, ...]] = get_args(Hour)
WEATHERS: Final[tuple[Weather, ...]] = get_args(Weather)
ACCESSORIES: Final[tuple[Accessory, ...]] = get_args(Accessory)

WITHOUT_WEATHER: Final[frozenset[Place]] = frozenset({"room", "space", "stage"})
"""Places where it neither rains nor snows: the weather there is always `"clear"`."""

PERSON_SHARE: Final = 0.20
SUBJECT_SHARES: Final = (0.62, 0.28, 0.10)
SEVERAL_SHARE: Final = 0.22
ACCESSORY_SHARE: Final = 0.25
WEATHER_SHARES: Final = (0.55, 0.15, 0.15, 0.15)
SIZE_SHARES: Final[dict[SubjectSize, float]] = {"small": 0.10, "medium": 0.80, "large": 0.10}
MOST_WITH_ACCESSORY: Final = 2
"""More copies than this wear nothing: their heads are too small to see it."""

_SIDES: Final[dict[int, tuple[Side, ...]]] = {2: ("left", "right"), 3: ("left", "middle", "right")}
_MOST_TRIES = 10_000


def draw_scene(seed: int, *, split: Split = "train", style: Style = "fluent") -> Scene:
    """Return the scene of a seed.

    Args:
        seed: any integer; the same seed gives the same scene on every machine.
        split: `"train"` never gives a held-out pair (see :mod:`allaprima.lab.scenes.holdout`), `"heldout"`
            only scenes whose first subject is one, `"any"` whatever comes first.
        style: the icon set to paint with; it changes nothing else.

    Raises:
        ValueError: `split` is none of the three.
    """
    if split not in get_args(Split):
        raise ValueError(f"split is {split!r}; expected one of {', '.join(get_args(Split))}")
    for attempt in range(_MOST_TRIES):
        # A string seed is hashed with SHA-512 by `random`, so it does not depend on PYTHONHASHSEED.
        scene = _draw(random.Random(f"scene {seed} {attempt}"), seed, style)
        heldout = is_heldout_subject(scene.subjects[0], scene.place)
        if split == "any" or (heldout if split == "heldout" else not is_heldout(scene)):
            return scene
    raise AssertionError(
        f"no {split} scene in {_MOST_TRIES} tries: the held-out pairs cover everything or nothing"
    )


def _draw(rng: random.Random, seed: int, style: Style) -> Scene:
    place = rng.choice(PLACES)
    hour: Hour = rng.choice(HOURS)
    weather: Weather = rng.choices(WEATHERS, WEATHER_SHARES)[0]
    return Scene(
        seed=seed,
        subjects=_draw_subjects(rng),
        place=place,
        hour="night" if place == "space" else hour,
        weather="clear" if place in WITHOUT_WEATHER else weather,
        style=style,
    )


def _draw_subjects(rng: random.Random) -> tuple[Subject, ...]:
    number = rng.choices((1, 2, 3), SUBJECT_SHARES)[0]
    kinds = rng.sample(list(SUBJECTS), number)
    if rng.random() < PERSON_SHARE:
        kinds[rng.randrange(number)] = PERSON
    if number == 1:
        return (_draw_alone(rng, kinds[0]),)
    return tuple(_draw_one(rng, kind, side=side) for kind, side in zip(kinds, _SIDES[number], strict=True))


def _draw_alone(rng: random.Random, kind: str) -> Subject:
    """Return a single subject: the only one that may come in several copies or be small or large."""
    if kind != PERSON and rng.random() < SEVERAL_SHARE:
        return _draw_one(rng, kind, count=rng.randint(2, 4))
    return _draw_one(rng, kind, size=rng.choices(list(SIZE_SHARES), list(SIZE_SHARES.values()))[0])


def _draw_one(
    rng: random.Random, kind: str, *, count: int = 1, side: Side = "middle", size: SubjectSize = "medium"
) -> Subject:
    person = draw_person(rng) if kind == PERSON else None
    wears = person is not None or SUBJECTS[kind].wears
    accessory: Accessory | None = None
    if wears and count <= MOST_WITH_ACCESSORY and rng.random() < ACCESSORY_SHARE:
        has_glasses = person is not None and person.glasses is not None
        accessory = rng.choice([item for item in ACCESSORIES if not (has_glasses and item == "sunglasses")])
    return Subject(kind=kind, count=count, side=side, size=size, accessory=accessory, person=person)
