from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from allaprima.core.errors import OutputError
from allaprima.core.files import check_target, free_path, make_folder, slug, write_whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat, on a ROOFTOP!", "a-cat-on-a-rooftop"),
        ("../../etc/passwd", "etc-passwd"),
        ("一只猫在屋顶", "一只猫在屋顶"),
        ("...", "picture"),
        ("🐱", "picture"),
        ("con_1", "con-1"),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_slug_always_fits_a_file_name() -> None:
    for text in ("x" * 1000, "猫" * 1000, "𠀀" * 1000, "a " * 500):
        name = slug(text)
        assert 0 < len(name.encode()) <= 120
        assert len(name) <= 40
        assert not name.endswith("-")


def test_free_path_counts_up(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "cat-2.png").symlink_to("nowhere")
    assert free_path(path) == tmp_path / "cat-3.png"


def test_an_existing_file_is_kept_unless_named(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    assert write_whole(path, b"one", overwrite=False) == path
    assert write_whole(path, b"two", overwrite=False) == tmp_path / "cat-2.png"
    assert write_whole(path, b"three", overwrite=True) == path
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "cat.png": b"three",
        "cat-2.png": b"two",
    }


def test_a_link_keeps_pointing_at_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "cat.png"
    link.symlink_to(tmp_path / "real" / "cat.png")
    write_whole(link, b"one", overwrite=True)
    assert link.is_symlink()
    assert (tmp_path / "real" / "cat.png").read_bytes() == b"one"


def test_the_file_follows_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        path = write_whole(tmp_path / "cat.png", b"one", overwrite=False)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_where_hard_links_do_not_exist_the_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(f"{source} to {target}")

    monkeypatch.setattr(os, "link", refuse)
    assert write_whole(tmp_path / "cat.png", b"one", overwrite=False).read_bytes() == b"one"
    assert [file.name for file in tmp_path.iterdir()] == ["cat.png"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing/cat.png", "does not exist; expected a folder"),
        ("", "is a folder; expected the name of a file"),
        ("pipe", "no ordinary file"),
        ("x" * 300, "cannot write|File name too long"),
        ("a\0b", "cannot write"),
        ("file/cat.png", "does not exist"),
    ],
)
def test_targets_that_cannot_be_written_are_told_before_the_work(
    tmp_path: Path, name: str, told: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=told):
        check_target(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_a_device_is_never_replaced(device: str) -> None:
    with pytest.raises(OutputError, match="no ordinary file"):
        check_target(Path(device))
    assert not Path(device).is_file()


def test_a_good_target_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(b"old")
    check_target(tmp_path / "old.png")
    check_target(tmp_path / "new.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old.png", b"old")]


def test_a_folder_closed_to_us_is_told() -> None:
    # Root may write anywhere except where the kernel itself says no.
    with pytest.raises(OutputError, match=r"cannot write /proc/cat\.png"):
        check_target(Path("/proc/cat.png"))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"old")
    code = f"""
import signal
from pathlib import Path
from allaprima.core.errors import OutputError
from allaprima.core.files import write_whole
for overwrite in (True, False):
    try:
        write_whole(Path({str(tmp_path / "cat.png")!r}), bytes(100_000), overwrite=overwrite)
    except OutputError as error:
        print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert ran.stdout.count("cannot write") == 2, ran.stderr
    assert ran.stdout.count("expected a folder with room") == 2
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("cat.png", b"old")]


def test_a_folder_is_made_or_refused_before_the_work(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "a\0b"):
        with pytest.raises(OutputError, match="cannot write"):
            make_folder(path)
    assert (tmp_path / "file").read_text() == "here"
