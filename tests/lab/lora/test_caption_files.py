"""Both forms of caption files, and every way in which they are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.lora.tiny import write_pictures

from allaprima.core.errors import UserError
from allaprima.lab.lora.caption_files import find_caption_file, read_entries

ROWS = [
    {"file_name": "0.png", "text": "a cat"},
    {"image": "./1.png", "prompt": " a  dog "},
    {"file_name": "2.png", "tags": ["cat", "red"]},
]


def test_lines_as_diffusers_and_kohya_write_them(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 3)
    pictures = [folder / f"{number}.png" for number in range(3)]
    file = folder / "metadata.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    entries = read_entries(file, pictures)
    assert [entries.find(path) for path in pictures] == ["a cat", "a dog", "cat, red"]


def test_objects_as_kohya_writes_them_without_endings(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 3)
    file = folder / "meta.json"
    file.write_text(
        json.dumps({"0": {"caption": "a cat", "tags": "x"}, "1.png": "a dog", "2": {"tags": "red"}})
    )
    pictures = [folder / f"{number}.png" for number in range(3)]
    entries = read_entries(file, pictures)
    assert [entries.find(path) for path in pictures] == ["a cat", "a dog", "red"]


def test_what_is_there_but_not_learned_from_is_no_error_and_what_is_absent_is(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 2)
    file = folder / "metadata.jsonl"
    file.write_text(json.dumps({"file_name": "1.png", "text": "a cat"}))
    assert read_entries(file, [folder / "0.png"]).by_picture == {}
    file.write_text(json.dumps({"file_name": "gone.png", "text": "a cat"}))
    with pytest.raises(UserError, match=r"names 'gone.png', which is not there"):
        read_entries(file, [folder / "0.png"])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", "{", "no JSON in line 1"),
        ("a.jsonl", "\n[1]", "says nothing of a picture at line 2"),
        ("a.jsonl", '{"file_name": "0.png"}', "says nothing of a picture at line 1"),
        ("a.jsonl", '{"file_name": 3, "text": "a"}', "says nothing of a picture at line 1"),
        ("a.jsonl", '{"file_name": "\\u0000", "text": "a"}', "says nothing of a picture at line 1"),
        ("a.json", "[1, 2]", "holds list; expected an object"),
        ("a.json", '{"0.png": 3}', "says nothing of a picture at '0.png'"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, name: str, text: str, expected: str) -> None:
    file = write_pictures(tmp_path, 1) / name
    file.write_text(text)
    with pytest.raises(UserError, match=expected):
        read_entries(file, [tmp_path / "0.png"])


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*gone.jsonl: No such file"):
        read_entries(tmp_path / "gone.jsonl", [])
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is no UTF-8"):
        read_entries(tmp_path / "a.jsonl", [])


def test_an_ending_makes_a_caption_a_file(tmp_path: Path) -> None:
    assert find_caption_file("photos/METADATA.JSONL") == Path("photos/METADATA.JSONL")
    assert find_caption_file("a photo of anna.") is None
    assert find_caption_file("x" * 5000) is None
    assert find_caption_file("a\0b") is None
    (tmp_path / "words.csv").write_text("0.png,a cat")
    with pytest.raises(UserError, match=r"expected one that ends in .txt, .json, .jsonl"):
        find_caption_file(str(tmp_path / "words.csv"))
