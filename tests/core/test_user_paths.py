"""Names and paths as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.core import user_paths
from allaprima.core.user_paths import default_cache_dir, expand, find_by_name, is_file, is_folder, same_name


def test_what_a_shell_left_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("MODELS", "/disk/models")
    assert expand(Path("~/x.png")) == Path("/home/anna/x.png")
    assert expand(Path("$HOME/x")) == expand(Path("${HOME}/x")) == Path("/home/anna/x")
    assert expand(Path("$MODELS")) == Path("/disk/models")
    for literal in ("~nobody-here/x", "$UNSET_HERE/x", "${HOME", "x/~/y", "-", "a$HOME", "~"):
        assert expand(Path(literal)) == Path("/home/anna" if literal == "~" else literal)
    (tmp_path / "~").mkdir()
    (tmp_path / "$HOME").mkdir()
    assert expand(Path("~")) == Path("~")
    assert expand(Path("$HOME")) == Path("$HOME")


def test_nothing_lies_where_no_file_can_have_the_name(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert is_file(tmp_path / "x")
    assert is_folder(tmp_path)
    for name in ("x" * 5000, "a\0b", "absent"):
        assert not is_file(tmp_path / name)
        assert not is_folder(tmp_path / name)


def test_case_and_unicode_form_do_not_count() -> None:
    for one, other in (
        ("Ink", "iNK"),
        ("e\u0301", "\u00c9"),
        ("Stra\u00dfe", "STRASSE"),
        ("ﬁ", "ﬁ"),
        ("猫", "猫"),
    ):
        assert same_name(one) == same_name(other)
    assert same_name("猫") != same_name("狗")


def test_a_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "ink").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "ink").touch()
    assert list(find_by_name(tmp_path, "INK")) == [tmp_path / "a" / "b" / "ink"]
    assert list(find_by_name(tmp_path, "b/ink")) == [tmp_path / "a" / "b" / "ink"]
    assert not list(find_by_name(tmp_path, "ink", levels=2))
    assert not list(find_by_name(tmp_path / "nowhere", "ink"))
    monkeypatch.setattr(user_paths, "MAX_ENTRIES", 3)
    assert not list(find_by_name(tmp_path, "ink"))


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("ALLAPRIMA_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "allaprima"
