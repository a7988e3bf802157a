"""Synonyms that no training caption uses, so that evaluation can ask whether words it never saw still work.

`words/kept_out.json` holds 100 of them (70 English, 30 Chinese): "kitty", "bike", "woodland". A model that
has learnt our words alone fails on them; one whose text encoder knows the language does not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from allaprima.paint.layout.vocabulary import LANGUAGES, Language


@dataclass(frozen=True, kw_only=True)
class KeptOut:
    """A word, its language, and the subject or place that it names."""

    word: str
    language: Language
    what: Literal["subject", "place"]
    names: str


@cache
def kept_out() -> tuple[KeptOut, ...]:
    """Return all words kept from training, English first."""
    text = files("allaprima.lab.scenes").joinpath("words/kept_out.json").read_text(encoding="utf-8")
    entries = json.loads(text)
    whats: tuple[Literal["subject", "place"], ...] = ("subject", "place")
    return tuple(
        KeptOut(word=word, language=language, what=what, names=name)
        for language in LANGUAGES
        for what in whats
        for word, name in entries[language][f"{what}s"].items()
    )
