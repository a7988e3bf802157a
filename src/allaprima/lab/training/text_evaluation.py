"""Measures what can be read from token states: captions of unseen scenes, and words that no training text held."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch.nn import functional

from allaprima.lab.evaluation.accuracy import Tally
from allaprima.lab.scenes.draw import PLACES
from allaprima.lab.scenes.kept_out import kept_out
from allaprima.lab.training.text_examples import KINDS, draw_example, draw_twins
from allaprima.lab.training.text_reader import SceneReader, collate_labels, count_right
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.vocabulary import LANGUAGES, Language

_FIRST_SEED = 1 << 50
"""Far from every training seed."""
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Misread:
    """A kept-out word and the kind or place it was taken for."""

    word: str
    expected: str
    got: str


@dataclass(frozen=True, kw_only=True)
class KeptOutReading:
    """Shares of kept-out words read right, and those that were not."""

    subjects: float
    places: float
    misread: tuple[Misread, ...]


@torch.inference_mode()
def read_captions(encoder: TextEncoder, reader: SceneReader, number: int) -> dict[str, dict[str, float]]:
    """Return for "en" and "zh" the share of each attribute read right, on `number` captions of held-out scenes."""
    rng = random.Random("text evaluation")
    examples = [draw_example(_FIRST_SEED + i, rng, None, split="heldout") for i in range(number)]
    shares = {}
    for language in LANGUAGES:
        chosen = [example for example in examples if example.language == language]
        tallies: dict[str, Tally] = {}
        for start in range(0, len(chosen), _BATCH):
            labels = collate_labels(chosen[start : start + _BATCH])
            encoded = encoder.encode([example.text for example in chosen[start : start + _BATCH]])
            reading = reader(encoded.states, encoded.mask, labels.rows, labels.subject_kinds)
            for name, counted in count_right(reading, labels).items():
                tallies[name] = tallies.get(name, Tally()) + counted
        shares[str(language)] = {name: tally.rate for name, tally in tallies.items() if tally.total}
    return shares


@torch.inference_mode()
def read_kept_out_words(encoder: TextEncoder, reader: SceneReader, language: Language) -> KeptOutReading:
    """Read each kept-out word of "en" or "zh" in a plain caption."""
    entries = [entry for entry in kept_out() if entry.language == language]
    subjects, places = (
        {entry.word: entry.names for entry in entries if entry.what == what} for what in ("subject", "place")
    )
    said = "a {} on the beach" if language == "en" else "海滩上的{}"
    encoded = encoder.encode([said.format(word) for word in subjects])
    _, kinds = reader.read_kinds(encoded.states, encoded.mask)
    missed = _compare(subjects, [KINDS[index] for index in kinds.argmax(dim=1).tolist()])
    said = "a cat, {}" if language == "en" else "{}的猫"
    encoded = encoder.encode([said.format(word) for word in places])
    nobody = torch.zeros(0, dtype=torch.long)
    place = reader(encoded.states, encoded.mask, nobody, nobody).scene[0]
    lost = _compare(places, [PLACES[index] for index in place[:, 1:].argmax(dim=1).tolist()])
    return KeptOutReading(
        subjects=1.0 - len(missed) / len(subjects),
        places=1.0 - len(lost) / len(places),
        misread=(*missed, *lost),
    )


@torch.inference_mode()
def compare_twins(encoder: TextEncoder, number: int) -> dict[str, float]:
    """Return the mean cosine of the mean states of one unseen scene in English and in Chinese, and of two scenes.

    States are centred over all captions first. "same" is to be near 1, and "other" near 0.
    """
    rng = random.Random("text twins")
    pairs = [draw_twins(_FIRST_SEED + i, rng, None, split="heldout") for i in range(number)]
    means = []
    for side in (0, 1):
        encoded = encoder.encode([pair[side].text for pair in pairs])
        weights = encoded.mask.unsqueeze(-1).float()
        means.append((encoded.states * weights).sum(dim=1) / weights.sum(dim=1))
    centre = torch.cat(means).mean(dim=0)
    english, chinese = (functional.normalize(mean - centre, dim=1) for mean in means)
    return {
        "same": float((english * chinese).sum(dim=1).mean()),
        "other": float((english * chinese.roll(1, dims=0)).sum(dim=1).mean()),
    }


def _compare(words: dict[str, str], got: list[str]) -> list[Misread]:
    return [
        Misread(word=word, expected=expected, got=read)
        for (word, expected), read in zip(words.items(), got, strict=True)
        if read != expected
    ]
