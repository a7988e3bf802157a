"""Putting scenes into Chinese as people type it: phrases, sentences and lists of words."""

from __future__ import annotations

import random
from typing import Final

from allaprima.lab.scenes.people_words import person_phrases
from allaprima.lab.scenes.spec import Person, Subject
from allaprima.lab.scenes.telling import Telling
from allaprima.lab.scenes.wording import air, names, pick_name
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.wording import wording

_SIDES: Final[dict[int, tuple[str, ...]]] = {
    2: (
        "左边是{0}，右边是{1}", "左边{0}，右边{1}", "{0}在左边，{1}在右边", "{0}在{1}的左边",
        "{1}在{0}的右边", "从左到右是{0}和{1}", "左边有{0}，右边有{1}",
    ),
    3: (
        "左边是{0}，中间是{1}，右边是{2}", "从左到右是{0}、{1}和{2}", "{0}在左边，{1}在中间，{2}在右边",
        "左边{0}，中间{1}，右边{2}",
    ),
}  # fmt: skip
_TOGETHER: Final[dict[int, tuple[str, ...]]] = {
    2: ("{0}和{1}", "{0}和{1}", "{0}与{1}", "{0}跟{1}", "{0}、{1}"),
    3: ("{0}、{1}和{2}", "{0}和{1}和{2}", "{0}、{1}、{2}"),
}


def say(telling: Telling, rng: random.Random) -> str:
    """Return one Chinese caption of what `telling` tells."""
    form = rng.choices((_flow, _listed, _there_is, _of_place), (36, 28, 18, 18))[0]
    text = form(telling, rng)
    if rng.random() < 0.10:
        text = rng.choice(wording("zh").wrappers) + text
    if rng.random() < 0.04:
        text = f"{text}，{rng.choice(wording('zh').tails)}"
    return _typed(text, rng)


def _flow(telling: Telling, rng: random.Random) -> str:
    """Say `一只猫在屋顶上，日落时` or `日落时，一只猫在屋顶上`."""
    around = air(telling.told, telling.scene, "zh", rng.choice(("when", "when", "bare", "clause")), rng)
    rng.shuffle(around)
    at = rng.randint(0, len(around))
    return "，".join([*around[:at], _placed(telling, rng), *around[at:]])


def _listed(telling: Telling, rng: random.Random) -> str:
    """Say `猫，屋顶，黄昏`."""
    scene, told = telling.scene, telling.told
    around = air(told, scene, "zh", "bare", rng)
    if "place" in told:
        around.insert(0, rng.choice(wording("zh").places[scene.place]["bare"]))
    if rng.random() < 0.5:
        rng.shuffle(around)
    if "side" in told:
        subjects = [_who(telling, rng)]
    else:
        subjects = [tag for subject in _ordered(telling, rng) for tag in _tags(telling, subject, rng)]
    if "framing" in told:
        subjects.insert(0, rng.choice(wording("zh").framings[scene.framing]["bare"]))
    at = rng.randint(0, len(around)) if rng.random() < 0.3 else 0
    separator = rng.choices(("，", ",", " ", "、"), (60, 12, 20, 8))[0]
    return separator.join([*around[:at], *subjects, *around[at:]])


def _there_is(telling: Telling, rng: random.Random) -> str:
    """Say `日落时屋顶上有一只猫，下着雨`."""
    place = _at(telling, rng)
    if not place or "side" in telling.told:
        return _flow(telling, rng)
    before = air(telling.told - {"weather"}, telling.scene, "zh", "when", rng)
    after = air(telling.told - {"hour"}, telling.scene, "zh", "clause", rng)
    there = f"{place}{rng.choice(('有', '有', '是'))}{_who(telling, rng)}"
    lead = rng.choice(("", "，")).join([*before, there])
    return "，".join([lead, *after])


def _of_place(telling: Telling, rng: random.Random) -> str:
    """Say `屋顶上的猫，黄昏`."""
    place = _at(telling, rng)
    if not place or "side" in telling.told:
        return _flow(telling, rng)
    adjective = ""
    told = telling.told
    if "weather" in told and rng.random() < 0.4:
        adjective = rng.choice(wording("zh").weather[telling.scene.weather]["adjective"])
        told -= {"weather"}
    around = air(told, telling.scene, "zh", "when", rng)
    phrase = f"{adjective}{place}的{_who(telling, rng, number=rng.random() < 0.5)}"
    return "，".join([*around, phrase] if rng.random() < 0.5 else [phrase, *around])


def _placed(telling: Telling, rng: random.Random) -> str:
    """Return the subjects and where they are: `一只猫在屋顶上`."""
    who, place = _who(telling, rng), _at(telling, rng)
    if not place:
        return who
    if "side" in telling.told:
        return f"{place}，{who}" if rng.random() < 0.7 else f"{who}，{place}"
    return f"{who}在{place}"


def _at(telling: Telling, rng: random.Random) -> str:
    told = "place" in telling.told
    return rng.choice(wording("zh").places[telling.scene.place]["at"]) if told else ""


def _ordered(telling: Telling, rng: random.Random) -> list[Subject]:
    subjects = list(telling.subjects)
    if "side" not in telling.told:
        rng.shuffle(subjects)
    return subjects


def _who(telling: Telling, rng: random.Random, *, number: bool = True) -> str:
    """Return all named subjects as one phrase: `一只猫和一只狗`."""
    phrases = [_noun_phrase(telling, subject, rng, number=number) for subject in _ordered(telling, rng)]
    if "framing" in telling.told:
        return rng.choice(wording("zh").framings[telling.scene.framing]["of"]).format(*phrases)
    if len(phrases) == 1:
        return phrases[0]
    templates = _SIDES if "side" in telling.told else _TOGETHER
    return rng.choice(templates[len(phrases)]).format(*phrases)


def _noun_phrase(telling: Telling, subject: Subject, rng: random.Random, *, number: bool = True) -> str:
    """Return one subject with its number, size, accessory or looks: `三只戴着皇冠的猫`."""
    dress = _dress(telling, subject, "phrase", rng)
    if subject.person is not None:
        return _person(telling, subject, subject.person, dress, rng, number=number)
    info = SUBJECTS[subject.kind]
    noun = pick_name(names(subject, telling.scene.style, "zh"), rng)[0]
    clothed = "".join(f"{part}的" for part in dress)
    return (
        _number(telling, subject, info.measure, rng, number=number)
        + clothed
        + _size(telling, subject, rng)
        + noun
    )


def _number(telling: Telling, subject: Subject, measure: str, rng: random.Random, *, number: bool) -> str:
    """Return `三只`; for one thing `一只`, or nothing where `number` is false."""
    if subject.count == 1:
        return f"一{measure}" if number else ""
    if "count" not in telling.told:
        some = rng.choice(wording("zh").counts["some"])
        return some if some == "一些" else some + measure
    return rng.choice(wording("zh").counts[str(subject.count)]) + measure


def _person(
    telling: Telling, subject: Subject, person: Person, dress: list[str], rng: random.Random, *, number: bool
) -> str:
    """Return `一个留着红色长发、戴着圆框眼镜的微笑的人`."""
    words = wording("zh").person
    looks = _looks(telling, subject, person, rng)
    adjective = _size(telling, subject, rng)
    if "expression" in looks and rng.random() < 0.5:
        del looks["expression"]
        adjective += rng.choice(words[person.expression])
    parts = [*looks.values(), *dress]
    clause = "、".join(parts) + "的" if parts else ""
    return ("一个" if number else "") + clause + adjective + rng.choice(words["noun"])


def _looks(telling: Telling, subject: Subject, person: Person, rng: random.Random) -> dict[str, str]:
    """Part -> phrase for the told parts, now and then in general words (`戴眼镜`)."""
    precise = person_phrases(person, rng, "zh")
    looks = {part: precise[part] for part in telling.parts_of(subject)}
    general = wording("zh").person
    for part in ("beard", "glasses"):
        stubble = part == "beard" and person.identity.beard == "stubble"
        if part in looks and not stubble and rng.random() < 0.4:
            looks[part] = rng.choice(general[part])
    return looks


def _tags(telling: Telling, subject: Subject, rng: random.Random) -> list[str]:
    """Return one subject as items of a list of words: `猫`, `皇冠`."""
    if len(telling.subjects) > 1 or subject.count > 1:
        return [_noun_phrase(telling, subject, rng, number=rng.random() < 0.3)]
    dress = _dress(telling, subject, "bare", rng)
    if subject.person is not None:
        noun = _size(telling, subject, rng) + rng.choice(wording("zh").person["bare"])
        return [noun, *_looks(telling, subject, subject.person, rng).values(), *dress]
    if dress and rng.random() < 0.5:
        return [_noun_phrase(telling, subject, rng, number=False)]
    return [_noun_phrase(telling.without("accessory"), subject, rng, number=rng.random() < 0.2), *dress]


def _size(telling: Telling, subject: Subject, rng: random.Random) -> str:
    """Return `很小的`, or nothing."""
    return rng.choice(wording("zh").sizes[subject.size]) if "size" in telling.told else ""


def _dress(telling: Telling, subject: Subject, form: str, rng: random.Random) -> list[str]:
    """Return the accessory in words, if there is one and it is told."""
    if subject.accessory is None or "accessory" not in telling.told:
        return []
    return [rng.choice(wording("zh").accessories[subject.accessory][form])]


def _typed(text: str, rng: random.Random) -> str:
    """Return the text as typed: now and then with half-width commas, a full stop or a comma left at the end."""
    if rng.random() < 0.12:
        text = text.replace("，", rng.choice((",", " ", ", ")))
    turn = rng.random()
    return text + ("。" if turn < 0.10 else "，" if turn < 0.13 else "")
