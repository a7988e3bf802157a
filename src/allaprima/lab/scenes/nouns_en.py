"""English phrases for subjects: one, several, dressed, side by side, and people with what they look like."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Final

from allaprima.lab.scenes.people_words import person_phrases
from allaprima.lab.scenes.spec import Person, Subject
from allaprima.lab.scenes.telling import Telling
from allaprima.lab.scenes.wording import names, pick_name
from allaprima.paint.layout.wording import wording

_AN = re.compile(r"[aio]|e(?!u)|u(?!ni|fo)", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the) ")
_A_VOWEL = re.compile(r"^a (?=[aeiou])")
_HEAD = re.compile(r"\ba (?=(?:person|human|character)$)")
_SIDES: Final[dict[int, tuple[str, ...]]] = {
    2: (
        "{0} on the left and {1} on the right", "{0} on the left, {1} on the right", "{0} to the left of {1}",
        "{1} on the right and {0} on the left", "{1} to the right of {0}", "{0} left of {1}",
        "{1} right of {0}", "on the left {0}, on the right {1}",
        "from left to right {0} and {1}",
    ),
    3: (
        "{0} on the left, {1} in the middle and {2} on the right", "from left to right {0}, {1} and {2}",
        "{1} between {0} on the left and {2} on the right",
        "on the left {0}, in the middle {1}, on the right {2}",
    ),
}  # fmt: skip
_TOGETHER: Final[dict[int, tuple[str, ...]]] = {
    2: (
        "{0} and {1}", "{0} and {1}", "{0} with {1}", "{0} next to {1}", "{0} beside {1}", "{0}, {1}", "{0} & {1}",
    ),
    3: ("{0}, {1} and {2}", "{0} and {1} and {2}", "{0}, {1}, {2}", "{0} with {1} and {2}"),
}  # fmt: skip


def with_article(noun: str) -> str:
    """Return the noun with "a" or "an" before it."""
    return f"{'an' if _AN.match(noun) else 'a'} {noun}"


def without_article(phrase: str) -> str:
    """Return the phrase without the article it begins with, if it does."""
    return _ARTICLE.sub("", phrase)


def join(phrases: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *most, last = phrases
    return f"{', '.join(most)} and {last}" if most else last


def ordered(telling: Telling, rng: random.Random) -> list[Subject]:
    """Return the named subjects: from left to right where sides are told, else in any order."""
    subjects = list(telling.subjects)
    if "side" not in telling.told:
        rng.shuffle(subjects)
    return subjects


def who(telling: Telling, rng: random.Random) -> str:
    """Return all named subjects as one phrase: `a cat on the left and two dogs on the right`."""
    phrases = [noun_phrase(telling, subject, rng) for subject in ordered(telling, rng)]
    if "framing" in telling.told:
        return rng.choice(wording("en").framings[telling.scene.framing]["of"]).format(*phrases)
    if len(phrases) == 1:
        return phrases[0]
    templates = _SIDES if "side" in telling.told else _TOGETHER
    return rng.choice(templates[len(phrases)]).format(*phrases)


def noun_phrase(telling: Telling, subject: Subject, rng: random.Random, *, article: bool = True) -> str:
    """Return one subject with its number, size, accessory or looks: `three cats wearing crowns`."""
    dress = _dress(telling, subject, rng)
    if subject.person is not None:
        phrase = _person(telling, subject, subject.person, dress, rng)
        return phrase if article else without_article(phrase)
    options = names(subject, telling.scene.style, "en")
    if subject.count > 1:
        options = [pair for pair in options if pair[1]]
        plural = pick_name(options, rng)[1]
        numbers = wording("en").counts[str(subject.count) if "count" in telling.told else "some"]
        return " ".join(word for word in (rng.choice(numbers), plural, dress) if word)
    size = _size(telling, subject, rng)
    if size:
        options = [pair for pair in options if pair[1]]
    name, plural = pick_name(options, rng)
    noun = f"{size} {name}".strip()
    if plural and article:
        noun = with_article(noun)
    return f"{noun} {dress}".strip()


def tags(telling: Telling, subject: Subject, rng: random.Random) -> list[str]:
    """Return one subject as items of a list of words: `cat`, `crown`."""
    if len(telling.subjects) > 1 or subject.count > 1:
        return [noun_phrase(telling, subject, rng, article=rng.random() < 0.2)]
    worn = _worn(telling, subject)
    if subject.person is not None:
        phrases = _looks(telling, subject, subject.person, rng)
        items = [without_article(phrase) for phrase in phrases.values()]
        rng.shuffle(items)
        items.insert(0, f"{_size(telling, subject, rng)} {rng.choice(wording('en').person['bare'])}".strip())
    elif worn and rng.random() < 0.5:
        return [noun_phrase(telling, subject, rng, article=False)]
    else:
        bare = telling.without("accessory")
        items = [noun_phrase(bare, subject, rng, article=False)]
    return [*items, rng.choice(wording("en").accessories[worn]["bare"])] if worn else items


def _size(telling: Telling, subject: Subject, rng: random.Random) -> str:
    """Return `tiny`, or nothing."""
    return rng.choice(wording("en").sizes[subject.size]) if "size" in telling.told else ""


def _worn(telling: Telling, subject: Subject) -> str | None:
    return subject.accessory if "accessory" in telling.told else None


def _dress(telling: Telling, subject: Subject, rng: random.Random) -> str:
    """Return `wearing a crown`, or nothing."""
    worn = _worn(telling, subject)
    if worn is None:
        return ""
    ways = wording("en").accessories[worn]["many" if subject.count > 1 else "one"]
    return rng.choice(ways).format(its="their" if subject.person else "its")


def _looks(telling: Telling, subject: Subject, person: Person, rng: random.Random) -> dict[str, str]:
    """Part -> phrase for the told parts, now and then in general words (`glasses`, `red hair`)."""
    precise = person_phrases(person, rng, "en")
    looks = {part: precise[part] for part in telling.parts_of(subject)}
    general = wording("en").person
    color = {"color": person.identity.hair_color}
    for part in ("hair", "beard", "glasses"):
        hairless = part == "hair" and person.identity.hair in {"bald", "turban"}
        stubble = part == "beard" and person.identity.beard == "stubble"
        if part in looks and not hairless and not stubble and rng.random() < 0.4:
            looks[part] = _A_VOWEL.sub("an ", rng.choice(general[part]).format(**color))
    return looks


def _person(telling: Telling, subject: Subject, person: Person, dress: str, rng: random.Random) -> str:
    """Return `a smiling person with red hair and a beard wearing glasses and a blue sweater`."""
    looks = _looks(telling, subject, person, rng)
    nouns = wording("en").person["noun"]
    size = _size(telling, subject, rng)
    noun = nouns[0] if size else rng.choice(nouns)
    before = ([size] if size else []) + (_adjectives(looks, person, rng) if _HEAD.search(noun) else [])
    expression = looks.pop("expression", "")
    wears = [looks.pop(part) for part in ("glasses", "clothes") if part in looks]
    if dress.startswith("wearing "):
        wears.append(dress.removeprefix("wearing "))
        dress = ""
    if before:
        noun = _HEAD.sub(with_article(" ".join(before)) + " ", noun)
    phrases = [noun]
    if looks:
        phrases.append(f"with {join(list(looks.values()))}")
    if wears:
        phrases.append(f"{'in' if not looks and rng.random() < 0.3 else 'wearing'} {join(wears)}")
    text = " ".join(phrase for phrase in (*phrases, dress) if phrase)
    if not expression:
        return text
    return f"{text} {expression}" if text == noun else f"{text}, {expression}"


def _adjectives(looks: dict[str, str], person: Person, rng: random.Random) -> list[str]:
    """Take out of `looks` what is said before the noun, and return it: `smiling`, `red haired`."""
    ways, face = wording("en").person, person.identity
    found: list[str] = []
    if "expression" in looks and rng.random() < 0.5:
        looks.pop("expression")
        found.append(rng.choice(ways[person.expression]))
    if "hair" in looks and face.hair != "turban" and rng.random() < 0.25:
        looks.pop("hair")
        adjectives = ways["bald_adjective" if face.hair == "bald" else "hair_adjective"]
        found.append(rng.choice(adjectives).format(color=face.hair_color))
    if "beard" in looks and face.beard == "beard" and rng.random() < 0.25:
        looks.pop("beard")
        found.append(rng.choice(ways["beard_adjective"]))
    return found
