"""The words to begin with that each family offers."""

from __future__ import annotations

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.families import FAMILIES


def test_they_are_prompts_and_none_is_offered_twice() -> None:
    for family in FAMILIES.values():
        assert "Subject" in family.traits.starters
        phrases = [phrase for kind in family.traits.starters.values() for phrase in kind]
        assert len(set(phrases)) == len(phrases)
        for phrase in phrases:
            GenerationRequest(prompt=phrase)
