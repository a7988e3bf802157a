"""What WordNet says of words that name what can be seen: English ones and, by Chinese Open Wordnet, Chinese ones.

A definition places a word where its sound does not: that a "lorry" is a kind of truck, that 的士 stands for the
same as "taxi". All words of both are treated alike, and no caption is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from allaprima.lab.training.wordnet import pointers_of, read_noun_senses, read_rows, words_of

VISIBLE: Final = frozenset({5, 6, 8, 13, 15, 17, 18, 19, 20})
"""WordNet's files of things that can be seen: animals, artifacts, bodies, food, places, nature, people, plants."""
_MOST_SENSES: Final = 3
_GLOSS_END: Final = re.compile(r'; "|;')
"""Where a gloss goes over to examples or further definitions."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One sense: words that mean the same, words that mean the next broader thing, and the nouns of its gloss."""

    same: tuple[str, ...]
    broader: tuple[str, ...]
    gloss: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """Senses by WordNet's offset and, for every word, the offsets of its first senses."""

    senses: Mapping[str, Definition]
    words: Mapping[str, tuple[str, ...]]

    def chinese(self) -> tuple[str, ...]:
        """Return the Chinese words."""
        return tuple(word for word in self.words if not word.isascii())


def read_dictionary(npm_root: Path) -> Dictionary:
    """Return the dictionary of what can be seen."""
    index = read_noun_senses(npm_root)
    senses = dict(_read_senses(npm_root, index))
    words = {
        word: tuple(offset for offset in offsets if offset in senses)[:_MOST_SENSES]
        for word, offsets in index.items()
    }
    for offset, chinese in _read_chinese():
        for word in chinese if offset in senses else ():
            words[word] = (*words.get(word, ()), offset)[:_MOST_SENSES]
    return Dictionary(senses=senses, words={word: offsets for word, offsets in words.items() if offsets})


def _read_senses(npm_root: Path, index: Container[str]) -> Iterator[tuple[str, Definition]]:
    rows = list(read_rows(npm_root, "data.noun"))
    words = {fields[0]: words_of(fields) for fields, _ in rows}
    for fields, gloss in rows:
        if int(fields[1]) in VISIBLE:
            broader = [word for offset in pointers_of(fields, "@", "@i") for word in words[offset]]
            nouns = _nouns(_GLOSS_END.split(" ".join(gloss.split()))[0], index)
            yield fields[0], Definition(same=words[fields[0]], broader=tuple(broader), gloss=tuple(nouns))


def _nouns(gloss: str, index: Container[str]) -> Iterator[str]:
    """Yield the nouns of a gloss, singular, two words that are one noun taken together."""
    tokens = re.findall(r"[a-z-]+", gloss.lower())
    while tokens:
        pair = " ".join(tokens[:2])
        if len(tokens) > 1 and pair in index:
            yield pair
            del tokens[:2]
            continue
        token = tokens.pop(0)
        forms = (token, token.removesuffix("s"), token.removesuffix("es"), re.sub(r"ies$", "y", token))
        yield from [form for form in forms if form in index][:1]


def _read_chinese() -> Iterator[tuple[str, list[str]]]:
    """Yield WordNet's offset and the Chinese words of a synset, from the file that is kept with this module."""
    path = files("allaprima.lab.training").joinpath("words/chinese_wordnet.txt")
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            offset, *words = line.split(" ")
            yield offset, words
