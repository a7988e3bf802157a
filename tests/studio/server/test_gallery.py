"""The gallery keeps what is finished, whatever happens, and finds it again."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.studio.server.pictures import plain_picture

from allaprima.core.errors import OutputError, RequestError, UserError
from allaprima.core.picture_files import read_request
from allaprima.studio.server import gallery_index
from allaprima.studio.server.gallery import INDEX, Gallery, GalleryEntry, _insert

WRITER = """
import sys, threading
from pathlib import Path
from allaprima.studio.server.gallery import Gallery
from tests.studio.server.pictures import plain_picture
gallery = Gallery.open(Path(sys.argv[1]))
def work(first):
    for number in range(10**6):
        entry = gallery.add(plain_picture(f"cat {first} {number}", seed=number))
        print(entry.id, flush=True)
for first in range(8):
    threading.Thread(target=work, args=(first,)).start()
"""


def test_a_picture_comes_back_with_its_request(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "gallery")
    picture = plain_picture("a cat on a roof", seed=7)
    entry = gallery.add(picture)
    assert gallery.find_entry(entry.id) == entry
    assert entry.request == picture.request
    data = gallery.find_png(entry.id)
    assert data is not None
    (tmp_path / "out.png").write_bytes(data)
    assert read_request(tmp_path / "out.png") == picture.request


def test_pages_follow_each_other_without_gaps_even_when_new_pictures_come(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    ids = [gallery.add(plain_picture(seed=seed)).id for seed in range(7)]
    first = gallery.search(limit=3)
    gallery.add(plain_picture(seed=9))
    second = gallery.search(limit=3, before=first[-1].id)
    third = gallery.search(limit=3, before=second[-1].id)
    assert [entry.id for entry in (*first, *second, *third)] == ids[::-1]


@pytest.mark.parametrize(
    "name", ["../secret", "..", "/etc/passwd", "", "x" * 5000, "a\0b", "%2e%2e", "index.sqlite"]
)
def test_a_name_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    gallery = Gallery.open(tmp_path / "gallery")
    assert gallery.find_entry(name) is None
    assert gallery.find_png(name) is None
    assert not gallery.delete(name)
    assert (tmp_path / "secret.png").exists()


def test_deleted_is_gone_from_disk_index_and_search(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    kept, deleted = gallery.add(plain_picture("a cat")), gallery.add(plain_picture("a cat"))
    assert gallery.delete(deleted.id)
    assert not gallery.delete(deleted.id)
    assert gallery.find_png(deleted.id) is None
    assert [entry.id for entry in gallery.search("cat")] == [kept.id]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"{kept.id}.png"]


def test_opening_puts_right_what_was_cut_short(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    entries = [gallery.add(plain_picture(f"cat {seed}", seed=seed)) for seed in range(3)]
    gallery.close()
    with sqlite3.connect(tmp_path / INDEX) as index:  # killed between file and index
        index.execute("DELETE FROM pictures WHERE id = ?", (entries[0].id,))
    index.close()
    (tmp_path / f"{entries[1].id}.png").unlink()  # killed between the two halves of a delete
    (tmp_path / "0123456789ab-0123456789ab.png").write_bytes(b"no picture")
    (tmp_path / "holiday.png").write_bytes(b"not ours")
    (tmp_path / ".0123456789ab.part").write_bytes(b"half")
    os.utime(tmp_path / ".0123456789ab.part", (0, 0))
    again = Gallery.open(tmp_path)
    assert again.search() == [entries[2], entries[0]]
    assert [entry.id for entry in again.search("cat 0")] == [entries[0].id]
    assert not (tmp_path / ".0123456789ab.part").exists()
    assert (tmp_path / "holiday.png").exists()


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew_from_the_pictures(tmp_path: Path, damage: bytes) -> None:
    gallery = Gallery.open(tmp_path)
    entry = gallery.add(plain_picture("a cat"))
    gallery.close()
    (tmp_path / INDEX).write_bytes(damage)
    assert Gallery.open(tmp_path).search("cat") == [entry]


def test_an_index_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Gallery.open(tmp_path).close()
    with sqlite3.connect(tmp_path / INDEX) as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    with pytest.raises(UserError, match="layout 99; expected 1"):
        Gallery.open(tmp_path)


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot keep pictures"):
        Gallery.open(tmp_path / "file")


def test_pages_have_bounds(tmp_path: Path) -> None:
    for limit in (0, 201, -1):
        with pytest.raises(RequestError):
            Gallery.open(tmp_path).search(limit=limit)


def test_many_threads_share_it(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    threads = [
        threading.Thread(target=lambda: [gallery.add(plain_picture()) for _ in range(5)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.id for entry in gallery.search()}) == len(gallery) == 40


def test_kill_9_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert writer.stdout is not None
    reported = [writer.stdout.readline().strip() for _ in range(20)]
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    reported += [line.strip() for line in writer.stdout.read().splitlines() if line.count("-") == 1]
    writer.stdout.close()
    writer.wait()
    gallery = Gallery.open(tmp_path)
    kept = {entry.id: entry for entry in gallery.search(limit=200)}
    files = {path.stem for path in tmp_path.glob("*.png")}
    assert {one for one in reported if len(one) == 25} <= files
    assert len(gallery) == len(files)
    for name, entry in kept.items():
        assert read_request(tmp_path / f"{name}.png") == entry.request


def test_a_full_disk_is_said_and_what_is_there_is_shown(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path)
    kept = gallery.add(plain_picture("a cat"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        pictures = [plain_picture("a cat " + "on the roof " * 60, seed=seed) for seed in range(400)]
        with pytest.raises(OutputError, match="room"):  # the index is full before a picture is
            list(map(gallery.add, pictures))
        gallery.close()
        with closing(Gallery.open(tmp_path)) as again:
            assert again.find_png(kept.id) is not None
            assert again.delete(kept.id)
            assert again.find_png(kept.id) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with closing(Gallery.open(tmp_path)) as roomy:
        assert len(roomy) == len(
            list(tmp_path.glob("*.png"))
        )  # the pictures that the index had no room for too


def test_a_folder_that_cannot_be_written_shows_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Gallery.open(tmp_path)) as gallery:
        kept = gallery.add(plain_picture("a cat"))
    stored = (tmp_path / INDEX).read_bytes()

    # Tests may run as root, to whom no folder is closed.
    def refuse(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError(f"attempt to write a readonly database: {path}")

    monkeypatch.setattr(gallery_index, "_connect", refuse)
    for index in (stored, b"junk" * 100, None):
        (tmp_path / INDEX).unlink(missing_ok=True)
        if index is not None:
            (tmp_path / INDEX).write_bytes(index)
        with closing(Gallery.open(tmp_path)) as gallery:
            assert [entry.id for entry in gallery.search("cat")] == [kept.id]


def test_what_is_no_file_of_ours_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    with closing(Gallery.open(tmp_path / "gallery")) as gallery:
        for change in (
            lambda file: file.symlink_to(tmp_path / "secret"),
            lambda file: file.symlink_to("nowhere"),
            lambda file: file.mkdir(),
            os.mkfifo,
        ):
            name = gallery.add(plain_picture()).id
            file = tmp_path / "gallery" / f"{name}.png"
            file.unlink()
            change(file)
            assert gallery.find_png(name) is None
            assert gallery.delete(name)
            assert gallery.find_entry(name) is None
    with closing(Gallery.open(tmp_path / "gallery")) as again:  # a folder is left alone
        assert len(again) == 0


def test_a_link_in_the_folder_never_becomes_a_picture(tmp_path: Path) -> None:
    with closing(Gallery.open(tmp_path / "other")) as other:
        name = other.add(plain_picture()).id
    with closing(Gallery.open(tmp_path / "gallery")) as gallery:
        pass
    (tmp_path / "gallery" / f"{name}.png").symlink_to(tmp_path / "other" / f"{name}.png")
    with closing(Gallery.open(tmp_path / "gallery")) as gallery:
        assert len(gallery) == 0


def test_a_picture_deleted_by_hand_leaves_the_list(tmp_path: Path) -> None:
    with closing(Gallery.open(tmp_path)) as gallery:
        name = gallery.add(plain_picture()).id
        (tmp_path / f"{name}.png").unlink()
        assert gallery.find_png(name) is None
        assert gallery.search() == []


def test_the_newest_is_first_though_the_clock_went_back(tmp_path: Path) -> None:
    ids = []
    for now in (2e9, 1e9, 1e9 + 1):
        with closing(Gallery.open(tmp_path, now=partial(float, now))) as gallery:
            ids += [gallery.add(plain_picture(seed=seed)).id for seed in range(2)]
            assert [entry.id for entry in gallery.search()] == ids[::-1]


def test_two_processes_may_keep_one_gallery(tmp_path: Path) -> None:
    with closing(Gallery.open(tmp_path)) as first, closing(Gallery.open(tmp_path)) as second:
        one, two = first.add(plain_picture("a cat")), second.add(plain_picture("a dog"))
        assert {entry.id for entry in first.search()} == {one.id, two.id}
        assert second.delete(one.id)
        assert first.find_png(one.id) is None
        file = tmp_path / f"{two.id}.png"
        copied = tmp_path / f"{'f' * 12}-{'0' * 12}.png"
        copied.write_bytes(file.read_bytes())
        with closing(Gallery.open(tmp_path)) as third:  # finds it before the one that wrote it notes it
            with first._transaction() as cursor:
                _insert(cursor, GalleryEntry(id=copied.stem, request=two.request))
            assert len(third) == len(first) == 2
