from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.studio.rating.folders_of_colors import write_folders

from allaprima.core.errors import UserError
from allaprima.studio.rating.folders import common_pictures, digest_of, find_prompt, read_folder


def test_what_all_have_is_compared(tmp_path: Path) -> None:
    better, worse = write_folders(tmp_path, 3)
    (worse / "cat-01.png").unlink()
    folders = [read_folder("a", better), read_folder("b", worse)]
    assert common_pictures(folders) == (["cat-00", "cat-02"], 1)
    assert find_prompt(folders, "cat-00") == "a cat number 0"


def test_pictures_of_other_formats_are_the_same_by_name(tmp_path: Path) -> None:
    better, worse = write_folders(tmp_path, 1)
    with Image.open(worse / "cat-00.png") as image:
        image.save(worse / "cat-00.webp")
    (worse / "cat-00.png").unlink()
    folders = [read_folder("a", better), read_folder("b", worse)]
    assert common_pictures(folders) == (["cat-00"], 0)
    assert find_prompt(folders, "cat-00") is None


def test_another_picture_is_another_digest(tmp_path: Path) -> None:
    folders = [read_folder(path.name, path) for path in write_folders(tmp_path, 2)]
    before = digest_of(folders, ["cat-00", "cat-01"])
    assert before == digest_of(folders, ["cat-00", "cat-01"])
    Image.new("RGB", (8, 8)).save(folders[0].pictures["cat-01"])
    assert before != digest_of(folders, ["cat-00", "cat-01"])


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    better, worse = write_folders(tmp_path, 1)
    with pytest.raises(UserError, match="expected at least two"):
        common_pictures([read_folder("a", better)])
    with pytest.raises(UserError, match="twice"):
        common_pictures([read_folder("a", better), read_folder("a", worse)])
    (worse / "cat-00.png").rename(worse / "dog.png")
    with pytest.raises(UserError, match="no picture that is in all"):
        common_pictures([read_folder("a", better), read_folder("b", worse)])
    (worse / "dog.jpg").touch()
    with pytest.raises(UserError, match=r"dog\.jpg and dog\.png"):
        read_folder("b", worse)
    with pytest.raises(UserError, match="no folder"):
        read_folder("c", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="without a picture"):
        read_folder("d", tmp_path / "empty")
