"""The table of subjects, and the words that training must never use."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from allaprima.paint.layout.subjects import GROUPS, SUBJECTS


def test_there_are_150_kinds_each_with_its_own_icon() -> None:
    assert len(SUBJECTS) == 150
    assert len({info.icon for info in SUBJECTS.values()}) == 150
    assert "person" not in SUBJECTS
    assert {info.group for info in SUBJECTS.values()} == set(GROUPS)
    assert all(info.icon and info.noto for info in SUBJECTS.values())


def test_no_word_names_two_kinds() -> None:
    for words in (
        [w for info in SUBJECTS.values() for w in {*info.en, *filter(None, info.plurals)}],
        [w for info in SUBJECTS.values() for w in set(info.zh)],
    ):
        assert [word for word, count in Counter(words).items() if count > 1] == []


@pytest.mark.parametrize("kind", SUBJECTS)
def test_every_kind_can_be_named_and_counted(kind: str) -> None:
    info = SUBJECTS[kind]
    assert len(info.en) >= 2
    assert len(info.zh) >= 2
    assert any(info.plurals)
    assert info.measure
    assert len(info.plurals) == len(info.en)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z -]*", word) for word in info.en)
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", word) for word in info.zh)
