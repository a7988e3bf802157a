"""Words that find pictures, whatever is typed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.studio.server.pictures import plain_picture

from allaprima.studio.server.gallery import Gallery
from allaprima.studio.server.search_words import match_expression, to_words


def test_words_are_found_by_their_beginnings_in_any_order(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    for prompt in ("a cat on a rooftop", "a lion at sunset", "屋顶上的一只猫", "un café"):
        gallery.add(plain_picture(prompt))
    assert [e.request.prompt for e in gallery.search("roof CAT")] == ["a cat on a rooftop"]
    assert [e.request.prompt for e in gallery.search("屋顶")] == ["屋顶上的一只猫"]
    assert [e.request.prompt for e in gallery.search("猫")] == ["屋顶上的一只猫"]
    assert [e.request.prompt for e in gallery.search("cafe")] == ["un café"]
    assert gallery.search("顶屋") == []
    assert gallery.search("!!!") == []
    assert len(gallery.search("  ")) == 4
    assert [gallery.count(text) for text in ("a ", "猫", "顶屋", "!!!", "  ", "")] == [2, 1, 0, 0, 4, 4]


@given(st.text(max_size=60))
def test_no_search_is_read_as_the_indexs_own_language(text: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE search USING fts5(words)")
    connection.execute("INSERT INTO search VALUES (?)", (to_words(text),))
    if expression := match_expression(text):
        connection.execute("SELECT * FROM search WHERE search MATCH ?", (expression,)).fetchall()
    connection.close()


@pytest.mark.parametrize(
    "text", ['"', "cat OR dog*", "words:cat", "NEAR(a b)", "a AND", "-cat", "^cat", "{x}"]
)
def test_operators_are_words_like_others(tmp_path: Path, text: str) -> None:
    gallery = Gallery.open(tmp_path)
    gallery.add(plain_picture("a lion"))
    assert gallery.search(text) == []
