"""Which pictures are found, what each is said to show, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.lab.lora.tiny import write_pictures

from allaprima.core.errors import PictureError, UserError
from allaprima.lab.lora.pictures import caption, find_pictures


def test_folders_are_walked_and_a_picture_counts_once(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 3)
    write_pictures(folder / "below", 1)
    write_pictures(folder / ".hidden", 1)
    (folder / "notes.pdf").write_bytes(b"%PDF")
    found = find_pictures([folder, folder / "1.png"])
    assert [str(path.relative_to(folder)) for path in found.paths] == [
        "0.png",
        "1.png",
        "2.png",
        "below/0.png",
    ]
    (remark,) = found.remarks
    assert remark.startswith("left out 1 files, such as notes.pdf; expected a PNG")


def test_no_picture_is_an_error_and_so_is_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="got 0 pictures in"):
        find_pictures([tmp_path])
    with pytest.raises(PictureError, match="does not exist"):
        find_pictures([tmp_path / "gone.png"])
    folder = write_pictures(tmp_path / "photos", 2)
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:20])
    with pytest.raises(PictureError, match=r"1.png cannot be read"):
        find_pictures([folder])
    (folder / "1.png").write_text("a letter")
    with pytest.raises(PictureError, match=r"1.png cannot be read: got a file that is text"):
        find_pictures([folder])


def test_a_caption_is_the_text_beside_a_picture_with_the_trigger_in_front(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 3)
    (folder / "1.txt").write_text("a cat\n  on a roof ")
    (folder / "2.txt").unlink()
    given = caption(find_pictures([folder]), name="anna", said=None, trigger="zorp")
    assert given.captions == ("a zorp, number 0", "zorp, a cat on a roof", "zorp")
    assert given.trigger_words == ("zorp",)
    assert given.remarks == ("1 of 3 pictures have no caption: the trigger word stands alone",)


def test_one_text_is_said_of_all_and_the_name_stands_in_for_nothing(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 2)
    assert (
        caption(find_pictures([folder]), name="anna", said="a hat", trigger=None).captions == ("a hat",) * 2
    )
    (tmp_path / "all.txt").write_text("a red\nhat")
    read = caption(find_pictures([folder]), name="anna", said=str(tmp_path / "all.txt"), trigger=None)
    assert read.captions == ("a red hat",) * 2
    for text in folder.glob("*.txt"):
        text.unlink()
    nameless = caption(find_pictures([folder]), name="anna", said=None, trigger=None)
    assert nameless.captions == ("anna", "anna")
    assert nameless.trigger_words == ("anna",)
    assert "'anna' names what they show" in nameless.remarks[0]


def test_a_folders_metadata_is_read_before_the_texts_and_a_named_file_before_it(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 2)
    line = json.dumps({"file_name": "0.png", "text": "a red hat"})
    (folder / "metadata.jsonl").write_text(line + "\n")
    found = find_pictures([folder])
    assert caption(found, name="a", said=None, trigger=None).captions == ("a red hat", "a zorp, number 1")
    other = tmp_path / "meta.json"
    other.write_text(json.dumps({"0": {"caption": "a blue hat"}}))
    assert caption(found, name="a", said=str(other), trigger=None).captions[0] == "a blue hat"


def test_a_caption_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    found = find_pictures([write_pictures(tmp_path, 1)])
    with pytest.raises(UserError, match=r"got a caption of 10,001 characters for 0.png"):
        caption(found, name="a", said="a" * 10_001, trigger=None)


def test_the_digest_is_of_bytes_and_captions_and_not_of_names(tmp_path: Path) -> None:
    first = write_pictures(tmp_path / "a", 2)
    second = write_pictures(tmp_path / "b", 2)
    digests = [
        caption(find_pictures([one]), name="a", said=None, trigger=None).digest() for one in (first, second)
    ]
    assert digests[0] == digests[1]
    said = caption(find_pictures([second]), name="a", said="a hat", trigger=None)
    assert said.digest() != digests[0]
    Image.new("RGB", (8, 8)).save(second / "1.png")
    assert caption(find_pictures([second]), name="a", said=None, trigger=None).digest() != digests[0]
