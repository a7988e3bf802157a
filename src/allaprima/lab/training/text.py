"""Trains Vignette's text encoder: a few layers of E5 that learn to read scenes and keep what words mean.

Three lessons at once. *Reading*: captions of drawn scenes, many of their words replaced by synonyms, must give up
what they say to linear readers (:mod:`allaprima.lab.training.text_reader`). *Meaning*: from thousands of other
words, alone or somewhere, their meaning (:mod:`allaprima.lab.training.text_meaning`) must still be read, and words
that mean something like one of our kinds must be read as that kind, so that a word never met in training stands
where its neighbours stand. *Twins*: a scene told in English and in Chinese must be read from the same states. The
words of `words/kept_out.json` are in none of them: they are the test.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from allaprima.lab.training.loop import Draw
from allaprima.lab.training.text_evaluation import read_kept_out_words
from allaprima.lab.training.text_examples import Example, draw_example, draw_twins
from allaprima.lab.training.text_lexicon import Wordings
from allaprima.lab.training.text_meaning import CHANNELS, Meanings, MeaningSimilarity
from allaprima.lab.training.text_reader import (
    GAIN,
    FastLinear,
    SceneReader,
    collate_labels,
    reading_losses,
    twin_loss,
)
from allaprima.lab.training.text_student import standardise
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import LANGUAGES
from allaprima.paint.layout.wording import wording

_POOL = 16
"""Batches drawn at a time and sorted by length, so that little is padding."""
_SHARPNESS = 0.06
_UNLIKE, _ALIKE = 0.35, 0.60
"""Below the one cosine a word says nothing of a kind, above the other it means the kind."""
_PROTOTYPE = 0.02
"""Weight of a kind's mean state in its reader: its own words then score a few units above others."""


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """What the student is made of and taught; :class:`allaprima.lab.training.loop.LoopConfig` says how long."""

    layers: tuple[int, ...] = (0, 1, 2, 3, 10, 11)
    """E5's layers that the student starts from: early ones read words, the last two find their meaning."""
    pieces: int = 17_000
    """Pieces of E5 to keep."""
    english_words: int = 12_000
    chinese_words: int = 6_000
    """Whole words to add."""
    phrases: float = 0.67
    """Other words per caption, for the lesson in meaning."""
    meaning: float = 2.0
    """Weight of the lesson in meaning."""
    twins: float = 0.6
    """Share of the captions that come in pairs, English and Chinese."""
    twin: float = 1.0
    """Weight of the lesson that twins are read from the same states."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One of the other words, alone or somewhere."""

    word: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """What one update learns from; the first `2 * twins` captions are pairs, English then Chinese."""

    captions: Sequence[Example]
    phrases: Sequence[Phrase]
    twins: int


@dataclass(frozen=True, kw_only=True)
class TextData:
    """What is learnt from: further words for the kinds, and other words and their meanings."""

    wordings: Mapping[str, Wordings]
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    near_english: tuple[str, ...]
    near_chinese: tuple[str, ...]
    """Those among them that mean something like one of the kinds: half of what is drawn."""
    meanings: Meanings
    likeness: MeaningSimilarity

    def phrase(self, rng: random.Random) -> Phrase:
        """Draw one of the other words."""
        near = rng.random() < 0.5
        if rng.random() < 0.5:
            word = rng.choice(self.near_chinese if near else self.chinese)
            places = wording("zh").places
            where = rng.choice(places[rng.choice(list(places))]["at"])
            return Phrase(word=word, text=rng.choice((word, f"{where}的{word}", f"一个{word}")))
        word, places = rng.choice(self.near_english if near else self.english), wording("en").places
        where = rng.choice(places[rng.choice(list(places))]["where"])
        return Phrase(word=word, text=rng.choice((word, f"a {word} {where}", f"a {word}")))


class Pupil(nn.Module):
    """All that is trained: the encoder, the readers, and the reader of meanings."""

    def __init__(self, encoder: TextEncoder, meaning: float, twin: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.reader = SceneReader(encoder.config.width)
        self.meaning_query = FastLinear(encoder.config.width, 1)
        self.to_meaning = FastLinear(encoder.config.width, CHANNELS)
        self.meaning = meaning
        self.twin = twin

    def forward(self, batch: TextBatch, material: TextData) -> dict[str, torch.Tensor]:
        """Return the losses of one batch by name, "loss" being their sum."""
        ids, mask = self.encoder.tokenize([example.text for example in batch.captions])
        labels = collate_labels(batch.captions)
        reading = self.reader(self.encoder(ids, mask), mask, labels.rows, labels.subject_kinds)
        losses = reading_losses(reading, labels)
        losses["twin"] = self.twin * twin_loss(reading, labels, batch.twins)
        ids, mask = self.encoder.tokenize([phrase.text for phrase in batch.phrases])
        states = self.encoder(ids, mask)
        weights = self.meaning_query(states).masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(dim=1)
        read = self.to_meaning((weights * states).sum(dim=1))
        words = [phrase.word for phrase in batch.phrases]
        wanted = torch.from_numpy(material.meanings.of(words)).to(read.device)
        losses["meaning"] = self.meaning * (1.0 - functional.cosine_similarity(read, wanted, dim=-1).mean())
        _, kinds = self.reader.read_kinds(states, mask)
        cosines = torch.from_numpy(material.likeness.of(words)).to(kinds.device)
        losses["likeness"] = likeness_loss(kinds, cosines)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


def likeness_loss(kinds: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
    """Return how far the kinds read (B, 151) are from those that the words are like, by their cosines (B, 150).

    Cosines become shares by a sharp softmax; words like no kind count little or nothing.
    """
    shares = (cosines / _SHARPNESS).softmax(dim=1)
    weights = ((cosines.amax(dim=1) - _UNLIKE) / (_ALIKE - _UNLIKE)).clamp(0.0, 1.0)
    entropy = -(shares * kinds.log_softmax(dim=1)[:, : cosines.shape[1]]).sum(dim=1)
    return (weights * entropy).mean()


@torch.no_grad()
def prepare(pupil: Pupil, prompts: Sequence[str]) -> None:
    """Give the readers a good start: states of unit deviation, and each kind's reader set to its own words.

    E5's states lie in a narrow cone far from zero, where a linear reader learns slowly.
    """
    standardise(pupil.encoder, prompts)
    for index, info in enumerate(SUBJECTS.values()):
        encoded = pupil.encoder.encode([*info.en, *info.zh])
        inner = encoded.mask.clone()
        inner[:, 0] = False
        inner[torch.arange(len(inner)), encoded.mask.sum(dim=1) - 1] = False
        pupil.reader.kinds.weight[index] = _PROTOTYPE / GAIN * encoded.states[inner].mean(dim=0)


class TextTask:
    """The two lessons, for :func:`allaprima.lab.training.loop.train`."""

    def __init__(self, material: TextData, recipe: TextRecipe) -> None:
        self.material = material
        self.recipe = recipe
        self._pool: tuple[int, list[TextBatch]] = (-1, [])

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, torch.Tensor]:
        """Return the losses of one update."""
        index = draw.step // _POOL
        if self._pool[0] != index:
            self._pool = (index, self.draw_pool(index, draw.rank, draw.batch_size))
        losses: dict[str, torch.Tensor] = model(self._pool[1][draw.step % _POOL], self.material)
        return losses

    def draw_pool(self, index: int, rank: int, batch: int) -> list[TextBatch]:
        """Return the batches of `_POOL` updates, a function of the recipe's seed and the arguments alone."""
        rng = random.Random(f"text {self.recipe.seed} {index} {rank}")
        count, twins = max(1, round(batch * self.recipe.phrases)), int(batch * self.recipe.twins / 2)
        wordings, single = self.material.wordings, batch - 2 * twins
        pairs = [draw_twins(rng.getrandbits(40), rng, wordings) for _ in range(_POOL * twins)]
        captions = [draw_example(rng.getrandbits(40), rng, wordings) for _ in range(_POOL * single)]
        phrases = [self.material.phrase(rng) for _ in range(_POOL * count)]
        pairs.sort(key=lambda pair: len(pair[0].text))
        captions.sort(key=lambda example: len(example.text.encode()))
        phrases.sort(key=lambda phrase: len(phrase.text.encode()))
        batches = []
        for i in range(_POOL):
            told = [example for pair in pairs[i * twins : (i + 1) * twins] for example in pair]
            told += captions[i * single : (i + 1) * single]
            batches.append(
                TextBatch(captions=told, phrases=phrases[i * count : (i + 1) * count], twins=twins)
            )
        rng.shuffle(batches)
        return batches

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write how well the kept-out words are read so far, and which are not."""
        assert isinstance(model, Pupil)
        readings = [read_kept_out_words(model.encoder, model.reader, language) for language in LANGUAGES]
        report = {"step": step, **dict(zip(LANGUAGES, map(asdict, readings), strict=True))}
        text = json.dumps(report, ensure_ascii=False, indent=1)
        (folder / f"kept-out-{step:06d}.json").write_text(text, encoding="utf-8")
