"""The way from a thread to the event loop, open or closed."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from allaprima.studio.server.connections import from_thread


def test_what_a_thread_says_is_received_on_the_loop_in_order() -> None:
    async def listen() -> list[int]:
        updates: asyncio.Queue[int] = asyncio.Queue()
        on_update = from_thread(updates.put_nowait)
        thread = threading.Thread(target=lambda: [on_update(number) for number in range(3)])
        thread.start()
        heard = [await updates.get() for _ in range(3)]
        thread.join()
        return heard

    assert asyncio.run(listen()) == [0, 1, 2]


def test_what_comes_after_the_server_has_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    async def open_and_close() -> None:
        callbacks.append(from_thread(heard.append))

    callbacks: list[object] = []
    asyncio.run(open_and_close())
    (on_update,) = callbacks
    assert callable(on_update)
    with caplog.at_level(logging.INFO):
        on_update(1)
    assert heard == []
    assert "after the server had closed" in caplog.text
