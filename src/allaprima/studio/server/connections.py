"""What reaches the event loop from elsewhere: updates of the engine's thread, and the news that a client left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

Message = TypeVar("Message")
_LOG = logging.getLogger(__name__)


def from_thread(receive: Callable[[Message], object]) -> Callable[[Message], None]:
    """Return a callback for another thread, which has the running event loop call `receive`."""
    loop = asyncio.get_running_loop()

    def on_message(message: Message) -> None:
        try:
            loop.call_soon_threadsafe(receive, message)
        except RuntimeError:  # the server is shutting down, and nobody waits any more
            _LOG.info("an update came after the server had closed")

    return on_message


async def watch_client(http: Request, on_left: Callable[[], object]) -> None:
    """Call `on_left` once the client of `http` closes the connection."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
    on_left()
