"""Prompts and searches as words that SQLite's full-text index understands.

Chinese, Japanese and Korean write no spaces, so each such character becomes a word of its own and a run of them a
phrase: a search for 屋顶 finds 站在屋顶上的猫.
"""

from __future__ import annotations

import re

MAX_SEARCH_WORDS = 20
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_CHARACTER = re.compile(f"([{_CJK}])")
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")


def to_words(text: str) -> str:
    """Return `text` with spaces around each character of a script that writes none."""
    return _CHARACTER.sub(r" \1 ", text)


def match_expression(text: str) -> str:
    """Return an FTS5 expression that finds texts which hold every word of `text`, or "" for no words.

    Whatever `text` holds, none of it is read as FTS5's own language: words are letters and digits, in quotes.
    """
    runs = _RUN.findall(text)[:MAX_SEARCH_WORDS]
    return " AND ".join(f'"{" ".join(run) if _CHARACTER.match(run) else run}"*' for run in runs)
