"""Deciding what a caption tells of a scene and what it leaves open, before any word is chosen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Final

from allaprima.lab.scenes.draw import WITHOUT_WEATHER
from allaprima.lab.scenes.spec import Person, Scene, Subject

TOLD_SHARES: Final[dict[str, float]] = {
    "place": 0.90,
    "hour": 0.75,
    "weather": 0.85,
    "accessory": 0.88,
    "side": 0.45,
    "size": 0.88,
    "framing": 0.8,
}
"""How often an attribute is told where there is something to tell."""
CLEAR_SHARE: Final = 0.12
"""How often clear weather is told: people rarely mention it."""
SPACE_HOUR_SHARE: Final = 0.15
"""How often the hour is told in space, where it is always night."""
NUMBER_SHARE: Final = 0.92
"""How often several copies are told by number; otherwise by a plural or "some"."""
ALL_SUBJECTS_SHARE: Final = 0.95
ONLY_SUBJECTS_SHARE: Final = 0.07
"""How often a caption is the subjects and nothing about where and when, as when one starts typing."""
PERSON_PART_SHARES: Final[dict[str, float]] = {
    "hair": 0.55, "beard": 0.65, "glasses": 0.75, "clothes": 0.50, "expression": 0.50, "skin": 0.15,
    "eyes": 0.04, "brows": 0.03, "nose": 0.03, "ears": 0.02,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What will be told of a scene.

    `subjects` are the ones that are named, from left to right. `told` holds the names of the attributes that
    are told: place, hour, weather, accessory, count, side, size, framing. `parts[i]` are the parts told of the person
    who is the scene's i-th subject.
    """

    scene: Scene
    subjects: tuple[Subject, ...]
    told: frozenset[str]
    parts: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def said(self) -> frozenset[str]:
        """Return the names of everything that a caption of this telling says."""
        whole = {"subjects"} if len(self.subjects) == len(self.scene.subjects) else set()
        return self.told | whole | ({"person"} if any(self.parts.values()) else set())

    def without(self, name: str) -> Telling:
        """Return the same telling with one attribute left open."""
        return replace(self, told=self.told - {name})

    def parts_of(self, subject: Subject) -> tuple[str, ...]:
        """Return the parts told of this subject, empty where it is not a person."""
        return self.parts.get(self.scene.subjects.index(subject), ())


def draw_telling(scene: Scene, rng: random.Random) -> Telling:
    """Choose at random what one caption tells: the first subject always, all else more or less often."""
    tellable = _tellable(scene)
    if rng.random() < ONLY_SUBJECTS_SHARE:
        tellable -= {"place", "hour", "weather"}
    told = {name for name in sorted(tellable) if rng.random() < _share(scene, name)}
    subjects = scene.subjects
    if "side" not in told and rng.random() >= ALL_SUBJECTS_SHARE:
        subjects = subjects[:1]
    if not any(subject.accessory for subject in subjects):
        told.discard("accessory")
    factor = 1.0 if len(subjects) == 1 else 0.5
    parts = {
        index: tuple(
            part for part in _parts(subject.person) if rng.random() < factor * PERSON_PART_SHARES[part]
        )
        for index, subject in enumerate(subjects)
        if subject.person is not None
    }
    return Telling(scene=scene, subjects=subjects, told=frozenset(told), parts=parts)


def _tellable(scene: Scene) -> set[str]:
    """Return the names of the attributes that this scene has."""
    names = {"place", "hour", "weather"}
    if scene.place in WITHOUT_WEATHER:
        names.discard("weather")
    if any(subject.accessory for subject in scene.subjects):
        names.add("accessory")
    if any(subject.count > 1 for subject in scene.subjects):
        names.add("count")
    if any(subject.size != "medium" for subject in scene.subjects):
        names.add("size")
    if len(scene.subjects) > 1:
        names.add("side")
    if scene.framing == "portrait":
        names.add("framing")
    return names


def _share(scene: Scene, name: str) -> float:
    if name == "count":
        return NUMBER_SHARE
    if name == "weather" and scene.weather == "clear":
        return CLEAR_SHARE
    if name == "hour" and scene.place == "space":
        return SPACE_HOUR_SHARE
    return TOLD_SHARES[name]


def _parts(person: Person | None) -> tuple[str, ...]:
    """Return the parts that this person has, in the order in which they are told."""
    if person is None:
        return ()
    missing = {"beard" if person.identity.beard is None else "", "glasses" if person.glasses is None else ""}
    return tuple(part for part in PERSON_PART_SHARES if part not in missing)
