"""The 150 kinds of things that scenes are made of, and the words people have for them.

`words/subjects.json` holds one entry per kind, written by hand: the icon that draws it, its English and
Chinese words (the first of each is what we call it), the Chinese measure word, and whether its picture is a
face that accessories fit on. People are not in the table; :mod:`allaprima.lab.scenes.people` draws them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, get_args

SubjectGroup = Literal["animal", "vehicle", "food", "plant", "building", "object"]
GROUPS: Final[tuple[SubjectGroup, ...]] = get_args(SubjectGroup)


@dataclass(frozen=True, kw_only=True)
class SubjectInfo:
    """One kind of thing and its words.

    `icon` is its name in the three Fluent icon sets, `noto` in the Noto set. `plurals[i]` is the plural of
    `en[i]`, or None where that word takes neither an article nor a number ("sushi"); every kind has at least
    one word that does ("a plate of sushi"). Every word of `zh` is counted with `measure`.
    """

    kind: str
    icon: str
    noto: str
    group: SubjectGroup
    en: tuple[str, ...]
    plurals: tuple[str | None, ...]
    zh: tuple[str, ...]
    measure: str
    wears: bool


def _read() -> dict[str, SubjectInfo]:
    text = files("allaprima.paint.layout").joinpath("words/subjects.json").read_text(encoding="utf-8")
    return {
        kind: SubjectInfo(
            kind=kind,
            icon=entry["icon"],
            noto=entry.get("noto", entry["icon"]),
            group=entry["group"],
            en=tuple(word for word, _ in entry["en"]),
            plurals=tuple(plural for _, plural in entry["en"]),
            zh=tuple(entry["zh"]),
            measure=entry["measure"],
            wears=entry["wears"],
        )
        for kind, entry in json.loads(text).items()
    }


# Read when the module is imported: one small file (about a millisecond) that everything here is about.
SUBJECTS: Final[dict[str, SubjectInfo]] = _read()
"""Kind -> what we know of it, in a fixed order: labels of the judge are positions in this table."""
