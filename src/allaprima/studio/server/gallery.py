"""Finished pictures, kept: one PNG file each, and an SQLite index to find them again by their words.

    gallery = Gallery.open(folder)
    entry = gallery.add(picture, init_image=init_image)
    page = gallery.search("cat roof", limit=20)

The files are the truth and the index follows them. A picture is written whole to its file first, after what it was
painted over, and then into the index, and `open` puts right whatever a power cut or kill -9 left between. So a
picture that `add` returned is there, and one that it did not return is either whole or absent.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.content_credentials import ContentCredentials
from allaprima.core.errors import OutputError, PictureError, RequestError
from allaprima.core.files import STALE_S, read_ordinary, remove_pieces, write_whole
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.server.gallery_index import open_index
from allaprima.studio.server.search_words import match_expression, to_words
from allaprima.studio.server.underpaintings import Underpaintings

MAX_PAGE = 200
INDEX = "index.sqlite"
UNDERPAINTINGS = "underpaintings"
"""The folder, in the gallery's, of what pictures were painted over."""
_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}")
_LOG = logging.getLogger(__name__)

_COLUMNS = "id, created_ms, width, height, request"


@dataclass(frozen=True, kw_only=True)
class GalleryEntry:
    """One kept picture."""

    id: str
    """Its name, made by us; ids sort by time."""
    request: GenerationRequest
    """What it was painted from."""
    underpainted: bool = False
    """Whether what it was painted over is kept too."""

    @property
    def created_ms(self) -> int:
        """Unix time in milliseconds."""
        return int(self.id[:12], 16)


class Gallery:
    """A folder of pictures and its index; for any number of threads. Made by `open`."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        now: Callable[[], float],
        credentials: ContentCredentials | None,
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._now = now
        self._credentials = credentials
        self._lock = threading.Lock()
        self._last_ms = 0
        self._underpaintings = Underpaintings(folder / UNDERPAINTINGS)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now: Callable[[], float] = time.time,
        credentials: ContentCredentials | None = None,
    ) -> Gallery:
        """Return the gallery in `folder`, which is made if it is missing, with its index put right.

        Args:
            folder: where the pictures lie.
            now: the time, in seconds since 1970.
            credentials: what signs pictures that are kept from now on; None for nobody.

        Raises:
            OutputError: the folder cannot be made or read. One that cannot be written shows what it holds.
            UserError: a newer version of this program wrote the index.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = open_index(folder / INDEX)
        except (OSError, sqlite3.OperationalError) as error:
            message = f"cannot keep pictures in {folder}: {error}; expected a folder open to you"
            raise OutputError(message) from error
        gallery = cls(folder, connection, now, credentials)
        try:
            gallery._recover()
        except (OSError, OutputError) as error:  # a full disk: whoever makes room needs what there is
            _LOG.warning("the gallery's index may miss pictures: %s", error)
        gallery._last_ms = gallery._newest_ms()
        return gallery

    def close(self) -> None:
        """Close the index; the gallery cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def add(
        self,
        picture: Picture | RetouchedPicture,
        extra: Mapping[str, str] | None = None,
        init_image: InitImage | None = None,
    ) -> GalleryEntry:
        """Keep `picture`, which has a request, and return its entry; when this returns, it is on the disk.

        Args:
            picture: what was painted or retouched.
            extra: settings for the infotext of one that was painted.
            init_image: what it was painted over, kept beside it and not in its file.

        Raises:
            OutputError: a file cannot be written, for example because the disk is full.
        """
        assert picture.request is not None
        underpainted = init_image is not None
        entry = GalleryEntry(id=self._new_id(), request=picture.request, underpainted=underpainted)
        data = picture.encode("png", extra) if isinstance(picture, Picture) else picture.encode("png")
        if self._credentials is not None:
            data = self._credentials.sign(data, "png")
        if init_image is not None:
            self._underpaintings.put(entry.id, init_image)
        write_whole(self._file(entry.id), data, overwrite=True)
        with self._transaction() as cursor:
            _insert(cursor, entry)
        return entry

    def find_entry(self, name: str) -> GalleryEntry | None:
        """Return the entry with the id `name`, or None."""
        with self._transaction() as cursor:
            row = cursor.execute("SELECT id, request FROM pictures WHERE id = ?", (name,)).fetchone()
        return None if row is None else self._to_entry(row)

    def find_init_image(self, name: str) -> InitImage | None:
        """Return what the entry `name` was painted over, or None; any text is safe to ask for."""
        return None if self.find_entry(name) is None else self._underpaintings.find(name)

    def require_init_image(self, name: str) -> InitImage:
        """Return what the entry `name` was painted over; RequestError if there is none."""
        found = self.find_init_image(name)
        if found is None:
            raise RequestError(
                f"got {name[:40]!r}; expected the id of a picture that was painted over another"
            )
        return found

    def require_png(self, name: str) -> bytes:
        """Return the PNG file of the entry `name`; RequestError if there is none."""
        found = self.find_png(name)
        if found is None:
            raise RequestError(f"got {name[:40]!r}; expected the id of a picture in the gallery")
        return found

    def find_png(self, name: str) -> bytes | None:
        """Return the PNG file of the entry `name`, or None; any text is safe to ask for."""
        # The index is asked first, so that a name never becomes a path unless we made it.
        if self.find_entry(name) is None:
            return None
        try:
            return read_ordinary(self._file(name))
        except FileNotFoundError:  # deleted by hand, or in between
            self._forget(name)
            return None
        except OSError as error:
            _LOG.info("a picture in the gallery cannot be read: %s", error)
            return None

    def search(self, text: str = "", *, before: str | None = None, limit: int = 50) -> list[GalleryEntry]:
        """Return entries, the newest first.

        Args:
            text: words that the prompt holds, each at least by its beginning; "" for all entries.
            before: the id of the last entry of the page before; None for the first page.
            limit: how many at most, 1 to 200.

        Raises:
            RequestError: the limit is out of range.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise RequestError(f"got a page of {limit} pictures; expected 1 to {MAX_PAGE}")
        where, values = _matching(text)
        if before is not None:
            where, values = f"{where} AND id < ?", [*values, before]
        query = f"SELECT id, request FROM pictures WHERE {where} ORDER BY id DESC LIMIT ?"
        with self._transaction() as cursor:
            rows = cursor.execute(query, (*values, limit)).fetchall()
        return [self._to_entry(row) for row in rows]

    def count(self, text: str = "") -> int:
        """Return how many entries `search` has for `text` in all."""
        where, values = _matching(text)
        with self._transaction() as cursor:
            return int(cursor.execute(f"SELECT count(*) FROM pictures WHERE {where}", values).fetchone()[0])

    def delete(self, name: str) -> bool:
        """Delete the picture `name` for good and return whether there was one."""
        if self.find_entry(name) is None:
            return False
        # The files first: if we are killed in between, the index drops the entry at the next start.
        try:
            self._underpaintings.delete(name)
            self._file(name).unlink(missing_ok=True)
        except IsADirectoryError:
            _LOG.warning("%s is a folder, which is left alone", self._file(name))
        except OSError as error:
            raise OutputError(f"cannot delete {self._file(name)}: {error.strerror}") from error
        self._forget(name)
        return True

    def _forget(self, name: str) -> None:
        """Take what is gone out of the index, now or, on a full disk, at the next start."""
        try:
            with self._transaction() as cursor:
                _remove(cursor, name)
        except OutputError as error:
            _LOG.info("the gallery's index keeps a picture that is gone: %s", error)

    def __len__(self) -> int:
        return self.count()

    def _file(self, name: str) -> Path:
        assert _ID.fullmatch(name), "only ids that we made become paths"
        return self.folder / f"{name}.png"

    def _to_entry(self, row: tuple[str, str]) -> GalleryEntry:
        request = GenerationRequest.from_json(json.loads(row[1]))
        return GalleryEntry(id=row[0], request=request, underpainted=row[0] in self._underpaintings)

    def _new_id(self) -> str:
        with self._lock:
            # Never the same millisecond twice, so that ids sort as the pictures came.
            self._last_ms = max(self._last_ms + 1, int(self._now() * 1000))
            return f"{self._last_ms:012x}-{secrets.token_hex(6)}"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, self._connection:
                yield self._connection.cursor()
        except sqlite3.OperationalError as error:  # the disk is full, or closed to us
            raise OutputError(
                f"cannot write {self.folder / INDEX}: {error}; expected room on the disk"
            ) from error

    def _newest_ms(self) -> int:
        """Return the time of the newest picture, after which the next one is filed whatever the clock says now."""
        with self._transaction() as cursor:
            newest = cursor.execute("SELECT max(id) FROM pictures").fetchone()[0]
        return 0 if newest is None else int(newest[:12], 16)

    def _recover(self) -> None:
        """Make the index say what the folder holds."""
        with suppress(OSError):  # a folder closed to us
            remove_pieces(self.folder, now=self._now)
        # Names alone: a path for each of 100,000 takes half a second.
        stems = (name[:-4] for name in os.listdir(self.folder) if name.endswith(".png"))  # noqa: PTH208
        files = {stem for stem in stems if _ID.fullmatch(stem)}
        self._underpaintings.tidy(files, self._now() - STALE_S)
        with self._transaction() as cursor:
            known = {str(row[0]) for row in cursor.execute("SELECT id FROM pictures")}
            for name in known - files:
                _remove(cursor, name)
            for name in sorted(files - known):
                try:
                    if self._file(name).is_symlink():
                        raise PictureError(f"{self._file(name)} is a link; expected a file")
                    _insert(cursor, GalleryEntry(id=name, request=read_request(self._file(name))))
                except PictureError as error:
                    _LOG.warning("a picture in the gallery is left alone: %s", error)
        if known != files:
            _LOG.info("gallery put right: %d missing, %d found", len(known - files), len(files - known))


def _insert(cursor: sqlite3.Cursor, entry: GalleryEntry) -> None:
    request = entry.request
    text = json.dumps(request.to_json(), ensure_ascii=False)
    values = (entry.id, entry.created_ms, request.width, request.height, text)
    cursor.execute(f"INSERT OR IGNORE INTO pictures ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", values)
    if cursor.rowcount == 0:  # another process on this gallery was quicker to find the file
        return
    words = to_words(request.prompt)
    cursor.execute("INSERT INTO search (rowid, words) VALUES (?, ?)", (cursor.lastrowid, words))


def _remove(cursor: sqlite3.Cursor, name: str) -> bool:
    row = cursor.execute("SELECT number FROM pictures WHERE id = ?", (name,)).fetchone()
    if row is None:
        return False
    cursor.execute("DELETE FROM search WHERE rowid = ?", row)
    cursor.execute("DELETE FROM pictures WHERE number = ?", row)
    return True


def _matching(text: str) -> tuple[str, list[str]]:
    """Return a condition and its values, for pictures that hold the words of `text`; all if it has none."""
    if expression := match_expression(text):
        return "number IN (SELECT rowid FROM search WHERE search MATCH ?)", [expression]
    # Signs alone are searched by in no prompt.
    return ("0" if text.strip() else "1"), []
