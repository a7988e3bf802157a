"""The gallery keeps what is finished, whatever happens, and finds it again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.studio.server.pictures import plain_picture

from allaprima.core.errors import OutputError, RequestError, UserError
from allaprima.core.picture_files import read_request
from allaprima.studio.server.gallery import INDEX, Gallery

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
    (tmp_path / ".old.part").write_bytes(b"half")
    os.utime(tmp_path / ".old.part", (0, 0))
    again = Gallery.open(tmp_path)
    assert again.search() == [entries[2], entries[0]]
    assert [entry.id for entry in again.search("cat 0")] == [entries[0].id]
    assert not (tmp_path / ".old.part").exists()
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
