"""Training examples for the text encoder: a caption and what can be read out of it.

Labels hold only what the words say. Class 0 of an attribute means "not said", -1 means "do not ask": a caption
cut off in the middle of a word may or may not have said it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from allaprima.lab.scenes.captions import prefix, say
from allaprima.lab.scenes.draw import ACCESSORIES, HOURS, PLACES, WEATHERS, Split, draw_scene
from allaprima.lab.scenes.spec import Person, Subject
from allaprima.lab.scenes.telling import Telling, draw_telling
from allaprima.lab.training.text_lexicon import Wordings
from allaprima.paint.layout.people_words import PERSON_WORDS
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Language
from allaprima.paint.layout.wording import wording

KINDS: Final[tuple[str, ...]] = (*SUBJECTS, PERSON)
_SIDES = ("left", "middle", "right")
_SIZES = ("small", "large")
_SEVERAL = 4
"""Class of a count above one that is not told; counts 1 to 4 are classes 0 to 3."""

_SCENE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {"place": PLACES, "hour": HOURS, "weather": WEATHERS}
SCENE_CLASSES: Final[Mapping[str, int]] = {name: len(names) + 1 for name, names in _SCENE_NAMES.items()}
SUBJECT_CLASSES: Final[Mapping[str, int]] = {
    "count": 5,
    "side": len(_SIDES) + 1,
    "size": len(_SIZES) + 1,
    "accessory": len(ACCESSORIES) + 1,
    **{part: len(words) + 1 for part, words in PERSON_WORDS.items()},
}
"""Attributes of a subject and how many classes each has; those of people come last."""

_PREFIX_SHARE = 0.12
_SWAP_SHARE = 0.4
_CHINESE_SHARE = 0.45
_COLORED = {"hair_color": "hair", "clothes_color": "clothes"}


@dataclass(frozen=True, kw_only=True)
class SubjectLabels:
    """What a caption says of one subject: its kind's index and the class of each of `SUBJECT_CLASSES`."""

    kind: int
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A caption and its labels. `unsure` are kinds that may or may not have been named."""

    text: str
    language: Language
    subjects: tuple[SubjectLabels, ...]
    unsure: tuple[int, ...]
    scene: tuple[int, ...]


def draw_example(
    seed: int, rng: random.Random, wordings: Mapping[str, Wordings] | None, *, split: Split = "train"
) -> Example:
    """Return the example of one scene; `wordings`, when given, replace some words of its subjects."""
    telling = draw_telling(draw_scene(seed, split=split), rng)
    language: Language = "zh" if rng.random() < _CHINESE_SHARE else "en"
    if wordings is not None and rng.random() < _PREFIX_SHARE:
        return _label_prefix(prefix(say(telling, rng, language), rng, language), telling, language)
    return _tell(telling, language, rng, wordings)


def draw_twins(
    seed: int, rng: random.Random, wordings: Mapping[str, Wordings] | None, *, split: Split = "train"
) -> tuple[Example, Example]:
    """Return one scene told in English and in Chinese, the same of it in both."""
    telling = draw_telling(draw_scene(seed, split=split), rng)
    return _tell(telling, "en", rng, wordings), _tell(telling, "zh", rng, wordings)


def _tell(
    telling: Telling, language: Language, rng: random.Random, wordings: Mapping[str, Wordings] | None
) -> Example:
    text = say(telling, rng, language)
    for subject in telling.subjects:
        if wordings is not None and subject.kind != PERSON and rng.random() < _SWAP_SHARE:
            text = swap_wording(text, subject.kind, wordings[subject.kind], rng)
    return Example(
        text=text,
        language=language,
        subjects=tuple(_label_subject(telling, subject) for subject in telling.subjects),
        unsure=(),
        scene=_label_scene(telling),
    )


def swap_wording(text: str, kind: str, wordings: Wordings, rng: random.Random) -> str:
    """Replace the word for `kind` in `text` by another of `wordings`, or return `text` when there is none."""
    info = SUBJECTS[kind]
    for word in sorted(info.zh, key=len, reverse=True):
        if word in text and wordings.zh:
            return text.replace(word, rng.choice(wordings.zh), 1)
    forms = {word.lower(): False for word in info.en} | {
        plural.lower(): True for plural in info.plurals if plural
    }
    for form in sorted(forms, key=len, reverse=True):
        found = re.search(rf"(?i)(?:\b(an?) )?\b{re.escape(form)}\b", text)
        if found is None or not wordings.en:
            continue
        word = rng.choice(wordings.en)
        word = _plural(word) if forms[form] else word
        article = f"{'an' if word[0] in 'aeiou' else 'a'} " if found.group(1) else ""
        return text[: found.start()] + article + word + text[found.end() :]
    return text


def _plural(word: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def _label_subject(telling: Telling, subject: Subject) -> SubjectLabels:
    told = telling.told
    count = subject.count - 1 if subject.count == 1 or "count" in told else _SEVERAL
    side = _SIDES.index(subject.side) + 1 if "side" in told else 0
    size = _SIZES.index(subject.size) + 1 if "size" in told and subject.size in _SIZES else 0
    accessory = ACCESSORIES.index(subject.accessory) + 1 if "accessory" in told and subject.accessory else 0
    return SubjectLabels(
        kind=KINDS.index(subject.kind),
        classes=(count, side, size, accessory, *_label_parts(subject.person, telling.parts_of(subject))),
    )


def _label_parts(person: Person | None, told: Sequence[str]) -> tuple[int, ...]:
    if person is None:
        return (-1,) * len(PERSON_WORDS)
    labels = []
    for part, words in PERSON_WORDS.items():
        value: str | None = getattr(person, part, None) or getattr(person.identity, part, None)
        said = _COLORED.get(part, part) in told
        labels.append(list(words).index(value) + 1 if said and value is not None else 0)
    return tuple(labels)


def _label_scene(telling: Telling) -> tuple[int, ...]:
    scene, told = telling.scene, telling.told
    return tuple(
        names.index(getattr(scene, attribute)) + 1 if attribute in told else 0
        for attribute, names in _SCENE_NAMES.items()
    )


def _label_prefix(text: str, telling: Telling, language: Language) -> Example:
    """Label a caption that was cut off: what it surely names, and "do not ask" for the rest."""
    words, scene, low = wording(language), telling.scene, text.lower()
    ways = (words.places[scene.place], words.hours[scene.hour], words.weather[scene.weather])
    named = [any(way.lower() in low for forms in lists.values() for way in forms) for lists in ways]
    labels = _label_scene(telling)
    subjects, unsure = [], []
    for subject in telling.subjects:
        kind = KINDS.index(subject.kind)
        info = SUBJECTS.get(subject.kind)
        if info is not None and _names(low, info.zh if language == "zh" else info.en, language):
            subjects.append(SubjectLabels(kind=kind, classes=(-1,) * len(SUBJECT_CLASSES)))
        else:
            unsure.append(kind)
    return Example(
        text=text,
        language=language,
        subjects=tuple(subjects),
        unsure=tuple(unsure),
        scene=tuple(label if label == 0 or sure else -1 for label, sure in zip(labels, named, strict=True)),
    )


def _names(low: str, words: Sequence[str], language: Language) -> bool:
    if language == "zh":
        return any(word in low for word in words)
    return any(re.search(rf"\b{re.escape(word.lower())}\b", low) for word in words)
