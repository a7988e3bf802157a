"""How replicas of other machines come to a cluster: they dial its meeting point, and both sides prove to know a key.

The key is never sent. What is said afterwards is neither encrypted nor signed, so the network between the machines
has to be one that is trusted, as for Ray and torch.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from allaprima.core.errors import PaintError, UserError
from allaprima.studio.cluster.link import Link

_LOG = logging.getLogger(__name__)
KEY_VARIABLE = "ALLAPRIMA_CLUSTER_KEY"
"""The variable that holds the key."""
SHORTEST_KEY = 16
"""Signs."""
HANDSHAKE_S = 10.0
"""In which a stranger has to prove that he is none."""
MOST_STRANGERS = 16
"""Handshakes under way."""


def cluster_key() -> bytes:
    """Return the key of this machine's environment; UserError if there is none, or a short one."""
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < SHORTEST_KEY:
        raise UserError(
            f"got {'no' if not key else 'a short'} {KEY_VARIABLE}; expected the same {SHORTEST_KEY} signs or more "
            "in the environment of the studio and of every replica, such as `openssl rand -hex 16` prints"
        )
    return key.encode()


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of a text such as "10.0.0.1:7870"; UserError for any other."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise UserError(f"got the address {text[:80]!r}; expected host and port, such as 10.0.0.1:7870")
    return host.strip("[]"), int(port)


class MeetingPoint:
    """A port at which replicas are let in.

    Args:
        host: the address to listen on.
        port: 0 for any that is free.
        key: what they have to know.
        welcome: called with the link of each and its address, in a thread of its own.

    Raises:
        UserError: the port cannot be had.
    """

    def __init__(self, host: str, port: int, key: bytes, welcome: Callable[[Link, str], None]) -> None:
        self._key, self._welcome = key, welcome
        try:
            self._socket = socket.create_server((host, port), family=_family(host))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"cannot let replicas join at {host} port {port}: {reason}; expected a free port"
            ) from error
        self._strangers = threading.Semaphore(MOST_STRANGERS)
        self._thread = threading.Thread(target=self._receive, name="meeting point", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it is."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._socket.close()
        self._thread.join()

    def _receive(self) -> None:
        while True:
            try:
                caller, address = self._socket.accept()
            except OSError:
                return
            if not self._strangers.acquire(blocking=False):
                caller.close()
                continue
            threading.Thread(target=self._let_in, args=(caller, str(address[0])), daemon=True).start()

    def _let_in(self, caller: socket.socket, name: str) -> None:
        try:
            link = _shake_hands(caller, self._key, is_host=True)
        except (OSError, EOFError, multiprocessing.AuthenticationError) as error:
            _LOG.warning("a replica from %s was not let in: %s", name, str(error) or type(error).__name__)
            return
        finally:
            self._strangers.release()
        self._welcome(link, f"replica of {name}")


def dial(host: str, port: int, key: bytes) -> Link:
    """Return a link to the cluster whose meeting point is there.

    Raises:
        OSError: nobody answers there.
        PaintError: somebody answers who does not know the key, or does not accept it.
    """
    caller = socket.create_connection((host, port), timeout=HANDSHAKE_S)
    try:
        return _shake_hands(caller, key, is_host=False)
    except (EOFError, multiprocessing.AuthenticationError) as error:
        raise PaintError(
            f"the studio at {host}:{port} has another {KEY_VARIABLE}; expected the same here and there"
        ) from error


def _shake_hands(caller: socket.socket, key: bytes, *, is_host: bool) -> Link:
    """Return a link once both sides know that the other knows `key`; the socket is closed otherwise."""
    caller.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # a frame is not to wait for the one before it
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    caller.settimeout(None)
    connection: Connection[Any, Any] = Connection(caller.detach())
    deadline = threading.Timer(HANDSHAKE_S, _hang_up, (connection,))
    deadline.start()
    try:
        for step in (
            (deliver_challenge, answer_challenge) if is_host else (answer_challenge, deliver_challenge)
        ):
            step(connection, key)
    except BaseException:
        connection.close()
        raise
    finally:
        deadline.cancel()
    return Link(connection)


def _hang_up(connection: Connection[Any, Any]) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
