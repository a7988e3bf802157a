"""Words kept out of training are really out, and name what we have."""

from __future__ import annotations

import re
from collections import Counter

from allaprima.lab.scenes.draw import PLACES
from allaprima.lab.scenes.kept_out import kept_out
from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.wording import wording


def test_100_words_are_kept_out_and_name_what_we_have() -> None:
    words = kept_out()
    assert Counter(word.language for word in words) == {"en": 70, "zh": 30}
    assert len({word.word for word in words}) == 100
    assert all(word.names in (SUBJECTS if word.what == "subject" else PLACES) for word in words)


def test_no_training_wording_contains_a_kept_out_word() -> None:
    english = [w for info in SUBJECTS.values() for w in (*info.en, *filter(None, info.plurals))]
    chinese = [w for info in SUBJECTS.values() for w in info.zh]
    for entry in PERSON_WORDS.values():
        for ways in entry.values():
            english += ways["en"]
            chinese += ways["zh"]
    english += wording("en").everything()
    chinese += wording("zh").everything()
    for kept in kept_out():
        if kept.language == "en":
            pattern = re.compile(rf"\b{re.escape(kept.word)}(?:s|es)?\b", re.IGNORECASE)
            assert [wording for wording in english if pattern.search(wording)] == []
        else:
            assert [wording for wording in chinese if kept.word in wording] == []
