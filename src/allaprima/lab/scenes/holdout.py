"""What training never sees together, so that evaluation can ask for it.

A model that only remembers pictures cannot paint a known thing in a place it never stood in. About one in
twelve pairs of kind and place, and of a person's identity and outfit, is kept from training. The choice is
made by a digest of the names, so it is the same on every machine and does not move when kinds are added.
"""

from __future__ import annotations

from dataclasses import astuple
from hashlib import blake2b
from typing import Final

from allaprima.lab.scenes.spec import Person, Scene, Subject

HELDOUT_SHARE: Final = 0.08
"""Share of all pairs that training never shows."""


def is_heldout_pair(kind: str, place: str) -> bool:
    """Return whether training never shows this kind in this place. Kinds of the table only, not `"person"`."""
    return _share("kind", kind, place) < HELDOUT_SHARE


def is_heldout_person(person: Person) -> bool:
    """Return whether training never shows this identity in this outfit (clothes and their colour)."""
    identity = (part or "none" for part in astuple(person.identity))
    return _share("person", *identity, person.clothes, person.clothes_color) < HELDOUT_SHARE


def is_heldout_subject(subject: Subject, place: str) -> bool:
    """Return whether this subject in this place is something training never shows."""
    if subject.person is not None:
        return is_heldout_person(subject.person)
    return is_heldout_pair(subject.kind, place)


def is_heldout(scene: Scene) -> bool:
    """Return whether at least one subject of the scene makes it one that training never shows."""
    return any(is_heldout_subject(subject, scene.place) for subject in scene.subjects)


def _share(*names: str) -> float:
    """Return a number in [0, 1) that depends on the names alone."""
    digest = blake2b("\x1f".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
