"""A line between a cluster and one replica: records both ways, never waited for, and no code in what arrives.

Records travel as pickles, which can call anything; what is read here may only build the records of `wire` and what
they are made of. So a replica on another machine that was taken over can say wrong things, and no more.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_LOG = logging.getLogger(__name__)
MAX_BYTES = 2**30
"""Of one record."""
_OURS = (
    "allaprima.core.",
    "allaprima.studio.engine.messages",
    "allaprima.studio.engine.stats",
    "allaprima.studio.cluster.wire",
)


class Link:
    """One end of the line. `put` and `close` may be called from any thread; one thread reads.

    Args:
        connection: one end of a two-way pipe, or a socket that was let in; it is the link's from here on.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._outgoing: queue.SimpleQueue[object | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="cluster link", daemon=True)
        self._writer.start()

    def put(self, record: object) -> None:
        """Send `record` soon; nothing happens if the other end is gone, of which the reader hears."""
        self._outgoing.put(record)

    def records(self) -> Iterator[Any]:
        """Yield what the other end sends until either end hangs up; then let the connection go."""
        try:
            while True:
                yield read_record(self._connection.recv_bytes(MAX_BYTES))
        except (OSError, EOFError):
            pass
        except Exception:  # noqa: BLE001  (damaged pickles raise what they like)
            _LOG.exception("the other end of a link sent what is no record")
        self._hang_up()  # first, for the writer may be stuck in sending
        self.close()
        self._writer.join()
        self._connection.close()

    def close(self) -> None:
        """Send what waits, and hang up. May be called more than once."""
        self._outgoing.put(None)

    def _write(self) -> None:
        try:
            while (record := self._outgoing.get()) is not None:
                self._connection.send_bytes(write_record(record))
        except OSError:
            pass
        except Exception:  # noqa: BLE001  (a mistake of ours, and the other end is not to wait for what never comes)
            _LOG.exception("a record could not be sent")
        self._hang_up()

    def _hang_up(self) -> None:
        """End both directions, which wakes a reader; closing alone would not."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def write_record(record: object) -> bytes:
    """Return a record as bytes."""
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(record)
    return out.getvalue()


def read_record(data: bytes) -> Any:
    """Return the record that `write_record` wrote.

    Raises:
        UnpicklingError: the bytes name anything that no record is made of.
    """
    return _Unpickler(io.BytesIO(data)).load()


def image_of(mode: str, size: tuple[int, int], data: bytes) -> Image.Image:
    """Return a PIL image."""
    return Image.frombytes(mode, size, data)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Write an image as its pixels, whatever file format it was opened from."""
        if isinstance(obj, Image.Image):
            return image_of, (obj.mode, obj.size, obj.tobytes())
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return a class that records are made of; UnpicklingError for anything else."""
        if (module_name, global_name) == (image_of.__module__, image_of.__name__):
            return image_of
        found = None
        if module_name.startswith(_OURS):
            found = getattr(import_module(module_name), global_name, None)
        if not isinstance(found, type) or found.__module__ != module_name:
            raise pickle.UnpicklingError(f"got {module_name}.{global_name}, which is no part of any record")
        return found
