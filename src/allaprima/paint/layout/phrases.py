"""The phrases that Vignette's words know, in English and Chinese, and what each does in a prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import LANGUAGES, Language
from allaprima.paint.layout.wording import Ways, wording

Role = Literal[
    "subject", "person", "worn", "size", "count", "place", "hour", "weather", "sunny", "framing", "hair", "look",
    "side", "next side", "relation", "between", "in order", "of", "filler",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fragment:
    """A phrase of a prompt: what it does there, and the name of what it says."""

    role: Role
    name: str = ""
    """A kind, place, hour, weather, accessory, size, side or hair; empty for roles that need none."""
    count: int | None = 1
    """How many things a subject's noun or a number means; None for several, without a number."""


_TOKEN: Final = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_ARTICLES: Final = frozenset(("a", "an", "the"))


def tokens_of(text: str) -> list[tuple[str, int]]:
    """Return words of any script and single Chinese characters, without articles, and where each begins."""
    found = ((match.group(), match.start()) for match in _TOKEN.finditer(text.lower().replace("&", " and ")))
    return [(token, start) for token, start in found if token not in _ARTICLES]


@cache
def phrase_tree() -> dict[str, Any]:
    """Return all phrases as a tree of their tokens; "" holds the fragment of a phrase that ends there."""
    tree: dict[str, Any] = {}
    for language in LANGUAGES:
        for text, fragment in (*_subjects(language), *_scene(language), *_people(language), *_glue(language)):
            branch = tree
            for token, _ in tokens_of(text):
                branch = branch.setdefault(token, {})
            branch.setdefault("", fragment)  # where a phrase means two things, the first one counts
    return tree


_Phrase = tuple[str, Fragment]


def _subjects(language: Language) -> list[_Phrase]:
    found: list[_Phrase] = []
    for kind, info in SUBJECTS.items():
        if language == "zh":
            found += [(name, Fragment("subject", kind)) for name in info.zh]
            continue
        for name, plural in zip(info.en, info.plurals, strict=True):
            found.append((name, Fragment("subject", kind)))
            if plural is not None:
                found.append((plural, Fragment("subject", kind, None)))
    return found


def _scene(language: Language) -> list[_Phrase]:
    words = wording(language)
    found: list[_Phrase] = []
    tables: tuple[tuple[Role, dict[str, Ways]], ...] = (
        ("place", words.places), ("hour", words.hours), ("weather", words.weather),
    )  # fmt: skip
    for role, table in tables:
        found += [
            (way, Fragment(role, name))
            for name, ways in table.items()
            for form in ways.values()
            for way in form
        ]
    found += [(way, Fragment("sunny")) for form in words.sunny.values() for way in form]
    found += [(way, Fragment("size", size)) for size, ways in words.sizes.items() for way in ways]
    for name, ways in words.accessories.items():
        every = {way.format(its=its) for form in ways.values() for way in form for its in ("its", "their")}
        every |= {way.removeprefix("wearing ") for way in every}  # "wearing glasses and a flower"
        found += [(way, Fragment("worn", name)) for way in sorted(every)]
    for ways in words.framings.values():
        found += [(way.format(""), Fragment("framing")) for form in ways.values() for way in form]
    return [*found, *_numbers(language)]


_DIGITS: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("five", "six", "seven", "eight", "nine"),
    "zh": ("五", "六", "七", "八", "九"),
}
"""Numbers that no caption says, from 5 on."""


def _numbers(language: Language) -> list[_Phrase]:
    counts: dict[str, int | None] = {
        way: None if name == "some" else int(name)
        for name, ways in wording(language).counts.items()
        for way in ways
    }
    counts |= {word: number for number, word in enumerate(_DIGITS[language], 5)}
    counts |= {str(number): number for number in range(5, 10)}
    counts |= {"one": 1} if language == "en" else {"一": 1, "1": 1}
    measures = (
        ("", "of") if language == "en" else ("", *sorted({info.measure for info in SUBJECTS.values()}), "个")
    )
    return [
        (f"{way} {measure}" if language == "en" else way + measure, Fragment("count", count=count))
        for way, count in counts.items()
        for measure in measures
        if way and not (language == "zh" and not measure and way not in ("一些", "好几"))
    ]


def _people(language: Language) -> list[_Phrase]:
    words = wording(language).person
    # "A portrait of a person" is one of the nouns, but its first words ask for a framing.
    nouns = (way for way in (*words["noun"], *words["bare"]) if "portrait" not in way)
    found: list[_Phrase] = [(way, Fragment("person")) for way in nouns]
    hair_colors = _color_words("hair_color", language)
    for part, table in PERSON_WORDS.items():
        colors = hair_colors if part == "beard" else _color_words(f"{part}_color", language)
        for name, named in table.items():
            found += _colored(
                named[language], colors, Fragment("hair", name) if part == "hair" else Fragment("look")
            )
    for part, ways in words.items():
        if part not in ("noun", "bare"):
            fragment = Fragment("hair", "bald") if part == "bald_adjective" else Fragment("look")
            found += _colored(ways, hair_colors, fragment)
    return found


def _color_words(field: str, language: Language) -> list[str]:
    return [way for named in PERSON_WORDS.get(field, {}).values() for way in named[language]]


def _colored(ways: tuple[str, ...], colors: list[str], fragment: Fragment) -> list[_Phrase]:
    """Return the ways to say a part of a person in every colour, and in none."""
    return [
        (way.replace("{color}", color), fragment)
        for way in ways
        for color in ([*colors, ""] if "{color}" in way else [""])
    ]


_SIDES: Final[dict[Language, dict[str, tuple[str, ...]]]] = {
    "en": {"left": ("left",), "middle": ("middle", "center", "centre"), "right": ("right",)},
    "zh": {
        "left": ("左边", "左侧", "左面"),
        "middle": ("中间", "正中", "中央"),
        "right": ("右边", "右侧", "右面"),
    },
}
_JOINTS: Final[dict[Language, str]] = {
    "en": (
        "with and in on at of to by is are there here this it wearing next beside near under around up while as "
        "for from its their me please some in front of"
    ),
    "zh": "在 有 是 和 与 跟 里 上 中 下 着 了 还 也 这 那 时 边 戴着 穿着 一个 一",
}
"""Words that join others and say nothing by themselves here."""


def _glue(language: Language) -> list[_Phrase]:
    """Return the phrases that say which side, the ones that join others, and the ones that say nothing."""
    words = wording(language)
    found: list[_Phrase] = []
    for side, ways in _SIDES[language].items():
        for way in ways:
            if language == "en":
                forms = (f"on {way}", f"in {way}", f"at {way}", f"to {way}", f"on {way} side", f"{way} side")
                found += [(form, Fragment("side", side)) for form in forms]
                if side != "middle":
                    relations = (f"to {way} of", f"{way} of", f"on {way} of")
                    found += [(form, Fragment("relation", side)) for form in relations]
            else:
                found += [(f"在{way}", Fragment("side", side)), (f"的{way}", Fragment("relation", side))]
                found += [(form, Fragment("next side", side)) for form in (way, f"{way}是", f"{way}有")]
    if language == "en":
        found += [("between", Fragment("between"))]
        found += [(way, Fragment("in order")) for way in ("from left to right", "left to right")]
    else:
        found += [
            ("从左到右", Fragment("in order")),
            ("从左到右是", Fragment("in order")),
            ("的", Fragment("of")),
        ]
    silent = (*words.wrappers, *words.tails, *words.colors, *_JOINTS[language].split())
    return [*found, *((way, Fragment("filler")) for way in silent)]
