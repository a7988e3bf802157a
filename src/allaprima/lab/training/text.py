"""Trains Vignette's text encoder: a few layers of E5 that learn to read scenes and keep what words mean.

Two lessons at once. *Reading*: captions of drawn scenes, many of their words replaced by synonyms, must give up
what they say to linear readers (:mod:`allaprima.lab.training.text_reader`). *Meaning*: from thousands of other
words, alone or somewhere, their meaning (:mod:`allaprima.lab.training.text_meaning`) must still be read, so
that a word never met in training stands where its neighbours stand. The words of `words/kept_out.json` are in
neither: they are the test.
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

from allaprima.lab.scenes.subjects import SUBJECTS
from allaprima.lab.scenes.wording import wording
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.text_evaluation import read_kept_out_words
from allaprima.lab.training.text_examples import Example, draw_example
from allaprima.lab.training.text_lexicon import Wordings
from allaprima.lab.training.text_meaning import CHANNELS, Meanings
from allaprima.lab.training.text_reader import GAIN, FastLinear, SceneReader, collate_labels, reading_losses
from allaprima.lab.training.text_student import standardise
from allaprima.paint.bases.vignette.text import TextEncoder

_POOL = 16
"""Batches drawn at a time and sorted by length, so that little is padding."""
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
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One of the other words, alone or somewhere."""

    word: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is learnt from: further words for the kinds, and other words and their meanings."""

    wordings: Mapping[str, Wordings]
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    meanings: Meanings

    def phrase(self, rng: random.Random) -> Phrase:
        """Draw one of the other words."""
        if rng.random() < 0.5:
            word, places = rng.choice(self.chinese), wording("zh").places
            where = rng.choice(places[rng.choice(list(places))]["at"])
            return Phrase(word=word, text=rng.choice((word, f"{where}的{word}", f"一个{word}")))
        word, places = rng.choice(self.english), wording("en").places
        where = rng.choice(places[rng.choice(list(places))]["where"])
        return Phrase(word=word, text=rng.choice((word, f"a {word} {where}", f"a {word}")))


class Pupil(nn.Module):
    """All that is trained: the encoder, the readers, and the reader of meanings."""

    def __init__(self, encoder: TextEncoder, meaning: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.reader = SceneReader(encoder.config.width)
        self.meaning_query = FastLinear(encoder.config.width, 1)
        self.to_meaning = FastLinear(encoder.config.width, CHANNELS)
        self.meaning = meaning

    def forward(
        self, examples: Sequence[Example], phrases: Sequence[Phrase], meanings: Meanings
    ) -> dict[str, torch.Tensor]:
        """Return the losses of one batch by name, "loss" being their sum."""
        ids, mask = self.encoder.tokenize([example.text for example in examples])
        labels = collate_labels(examples)
        reading = self.reader(self.encoder(ids, mask), mask, labels.rows, labels.subject_kinds)
        losses = reading_losses(reading, labels)
        ids, mask = self.encoder.tokenize([phrase.text for phrase in phrases])
        states = self.encoder(ids, mask)
        weights = self.meaning_query(states).masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(dim=1)
        read = self.to_meaning((weights * states).sum(dim=1))
        wanted = torch.from_numpy(meanings.of([phrase.word for phrase in phrases])).to(read.device)
        losses["meaning"] = self.meaning * (1.0 - functional.cosine_similarity(read, wanted, dim=-1).mean())
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


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

    def __init__(self, material: Material, recipe: TextRecipe) -> None:
        self.material = material
        self.recipe = recipe
        self._pool: tuple[int, list[tuple[list[Example], list[Phrase]]]] = (-1, [])

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, torch.Tensor]:
        """Return the losses of one update."""
        index = draw.step // _POOL
        if self._pool[0] != index:
            self._pool = (index, self.draw_pool(index, draw.rank, draw.batch_size))
        examples, phrases = self._pool[1][draw.step % _POOL]
        losses: dict[str, torch.Tensor] = model(examples, phrases, self.material.meanings)
        return losses

    def draw_pool(self, index: int, rank: int, batch: int) -> list[tuple[list[Example], list[Phrase]]]:
        """Return the batches of `_POOL` updates, a function of the recipe's seed and the arguments alone."""
        rng = random.Random(f"text {self.recipe.seed} {index} {rank}")
        count = max(1, round(batch * self.recipe.phrases))
        captions = [
            draw_example(rng.getrandbits(40), rng, self.material.wordings) for _ in range(_POOL * batch)
        ]
        phrases = [self.material.phrase(rng) for _ in range(_POOL * count)]
        captions.sort(key=lambda example: len(example.text.encode()))
        phrases.sort(key=lambda phrase: len(phrase.text.encode()))
        batches = [
            (captions[i * batch : (i + 1) * batch], phrases[i * count : (i + 1) * count])
            for i in range(_POOL)
        ]
        rng.shuffle(batches)
        return batches

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write how well the kept-out words are read so far, and which are not."""
        assert isinstance(model, Pupil)
        found = {
            language: asdict(read_kept_out_words(model.encoder, model.reader, language))
            for language in ("en", "zh")
        }
        text = json.dumps({"step": step, **found}, ensure_ascii=False, indent=1)
        (folder / f"kept-out-{step:06d}.json").write_text(text, encoding="utf-8")


def recipe_notes(recipe: TextRecipe, steps: int, batch: int) -> dict[str, str]:
    """Return what was done, as metadata for the weight file."""
    return {"training": json.dumps({**asdict(recipe), "steps": steps, "batch_size": batch}, sort_keys=True)}
