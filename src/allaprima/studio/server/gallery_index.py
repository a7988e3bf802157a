"""The gallery's SQLite index: opened, begun, put aside when it is damaged, copied where it cannot be written."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from allaprima.core.errors import UserError

LAYOUT = 1
_LOG = logging.getLogger(__name__)

_SCHEMA = f"""
CREATE TABLE pictures (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    request TEXT NOT NULL
);
CREATE VIRTUAL TABLE search USING fts5(words, tokenize = "unicode61 remove_diacritics 2");
PRAGMA user_version = {LAYOUT};
"""


def open_index(path: Path) -> sqlite3.Connection:
    """Return a connection to the index at `path`.

    A damaged index is put aside and begun anew. Where the disk is full or closed to us, a copy in memory stands for
    it, so that what is there can be seen, and deleted to make room.
    """
    try:
        return _connect(path)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise
        _LOG.warning("the gallery's index cannot be written (%s); a copy in memory stands for it", error)
        return _copy(path)
    except sqlite3.DatabaseError as error:
        _LOG.warning("the gallery's index is damaged (%s); it is made anew from the pictures", error)
        for suffix in ("", "-wal", "-shm"):
            damaged = path.with_name(path.name + suffix)
            if damaged.exists():
                damaged.replace(path.with_name(f"damaged-{damaged.name}"))
        return _connect(path)


def _copy(path: Path) -> sqlite3.Connection:
    """Return an index in memory with what the file at `path` holds, as far as it can be read."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        # Immutable: no lock and no journal, for neither could be written. What a journal holds the files tell.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as stored:
            stored.backup(copy)
    except sqlite3.Error as error:
        _LOG.warning("nor can it be read (%s); it is made from the pictures", error)
    if int(copy.execute("PRAGMA user_version").fetchone()[0]) != LAYOUT:
        copy.close()
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        copy.executescript(_SCHEMA)
    return copy


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing this way; after a power cut `_recover` finds the files, which are synced.
        connection.execute("PRAGMA synchronous = NORMAL")
        layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if layout == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif layout != LAYOUT:
            raise UserError(
                f"{path} has layout {layout}; expected {LAYOUT}: a newer version of prima wrote it, use that one"
            )
        elif connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it fails SQLite's own check")
    except BaseException:
        connection.close()
        raise
    return connection
