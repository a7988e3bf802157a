"""Folders of wildcards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.wildcard_folder import WildcardFolder, existing_wildcards


@pytest.fixture
def folder(tmp_path: Path) -> WildcardFolder:
    home = tmp_path / "wildcards"
    for name, text in {
        "animal.txt": "# animals\ncat\n\n  2::fox  \n", "动物.txt": "\ufeff猫\n", "big cats.txt": "lion\n",
        "colour/warm.txt": "red\n", "colour/cold.txt": "blue\n", "a/same.txt": "1\n", "b/same.txt": "2\n",
        "empty.txt": "# nothing\n", "notes.md": "no\n", ".hidden/x.txt": "no\n", "café.txt": "espresso\n",
    }.items():  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret\n")
    (home / "out.txt").symlink_to(tmp_path / "secret.txt")
    (home / "loop").symlink_to(home)
    return WildcardFolder(home)


def words(folder: WildcardFolder, name: str) -> list[str] | None:
    lines = folder.find(name)
    return None if lines is None else [text for _, text in lines]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("animal", ["cat", "fox"]), ("Animal", ["cat", "fox"]), ("动物", ["猫"]), ("big cats", ["lion"]),
        ("colour/warm", ["red"]), ("colour\\warm", ["red"]), ("warm", ["red"]), ("colour/*", ["blue", "red"]),
        ("*o*/w*", ["red"]), ("w*", ["red"]), ("**/same", ["1", "2"]), ("cafe\u0301", ["espresso"]),
        ("empty", None), ("notes", None), ("x", None), ("out", None), ("nothing", None), ("no*thing", None),
    ],
)  # fmt: skip
def test_files_are_found_by_name_and_by_way(
    folder: WildcardFolder, name: str, lines: list[str] | None
) -> None:
    assert words(folder, name) == lines


def test_weights_stand_before_lines(folder: WildcardFolder) -> None:
    assert folder.find("animal") == ((1.0, "cat"), (2.0, "fox"))


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "~/x", ".hidden/x", "a//b"])
def test_paths_out_of_the_folder_are_refused(folder: WildcardFolder, name: str) -> None:
    with pytest.raises(RequestError, match="expected the name of a file in the folder"):
        folder.find(name)


def test_a_name_of_two_files_is_refused_with_both(folder: WildcardFolder) -> None:
    with pytest.raises(RequestError, match="could be any of a/same, b/same"):
        folder.find("same")
    assert words(folder, "b/same") == ["2"]


def test_a_file_that_changes_is_read_again(folder: WildcardFolder) -> None:
    assert words(folder, "animal") == ["cat", "fox"]
    path = folder.path / "animal.txt"
    path.write_text("dog\nwolf\n")
    assert words(folder, "animal") == ["dog", "wolf"]
    (folder.path / "new.txt").write_text("one")
    assert words(folder, "new") == ["one"]
    assert "new" in folder.names()


def test_what_is_no_text_is_refused(folder: WildcardFolder) -> None:
    (folder.path / "noise.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="no text in UTF-8"):
        folder.find("noise")
    with (folder.path / "large.txt").open("wb") as file:
        os.truncate(file.fileno(), (4 << 20) + 1)
    with pytest.raises(RequestError, match="4 MiB at most"):
        folder.find("large")


def test_the_folder_is_named_or_beside_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert existing_wildcards(None) == Path("models/wildcards")
    beside = tmp_path / "webui/extensions/sd-dynamic-prompts/wildcards"
    beside.mkdir(parents=True)
    assert existing_wildcards(None, [tmp_path / "webui"]) == beside
    with pytest.raises(RequestError, match="which is not there"):
        existing_wildcards(tmp_path / "nowhere")
    assert WildcardFolder(tmp_path / "nowhere").find("a") is None
