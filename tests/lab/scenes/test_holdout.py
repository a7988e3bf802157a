"""What training never shows, and that enough is left of everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from allaprima.lab.scenes.draw import PLACES
from allaprima.lab.scenes.holdout import (
    HELDOUT_SHARE,
    is_heldout_pair,
    is_heldout_person,
)
from allaprima.lab.scenes.spec import Scene
from allaprima.paint.layout.subjects import SUBJECTS


def test_heldout_pairs_leave_every_kind_and_place_enough() -> None:
    pairs = [(kind, place) for kind in SUBJECTS for place in PLACES if is_heldout_pair(kind, place)]
    assert len(pairs) / (len(SUBJECTS) * len(PLACES)) == pytest.approx(HELDOUT_SHARE, abs=0.02)
    assert max(Counter(kind for kind, _ in pairs).values()) <= 6
    assert set(Counter(place for _, place in pairs)) == set(PLACES)


def test_people_are_held_out_by_identity_and_outfit(scenes: list[Scene]) -> None:
    people = [subject.person for scene in scenes for subject in scene.subjects if subject.person]
    share = sum(map(is_heldout_person, people)) / len(people)
    assert share == pytest.approx(HELDOUT_SHARE, abs=0.03)
    person = people[0]
    assert is_heldout_person(replace(person, expression="sad", glasses=None)) == is_heldout_person(person)
