"""A studio that is still loading its base answers what it can, and lets the rest wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.studio.server.conftest import PacedBase, Serve, Served
from websockets.sync.client import connect

from allaprima.core.errors import WeightsError
from allaprima.paint.painter import Painter
from allaprima.studio.server.live_messages import unpack_frame

ASKED = {"prompt": "a cat", "steps": 1}


class Shelf:
    """Where an engine gets its painter from, once it is put there."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.painter: Painter | None = Painter(base=PacedBase())

    def load(self, base: str) -> Painter:
        assert self.ready.wait(20)
        if self.painter is None:
            raise WeightsError(f"{base} is damaged; expected another file")
        return self.painter


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """Return a shelf that is full at the end, so that no engine waits for ever."""
    made = Shelf()
    yield made
    made.ready.set()


@pytest.fixture
def loading(serve: Serve, shelf: Shelf) -> Served:
    """Return a server whose base is not there yet."""
    return serve(load=shelf.load)


def test_what_needs_no_base_is_answered(loading: Served) -> None:
    with loading.client() as client:
        health = client.get("/healthz")
        assert (health.status_code, health.json()) == (503, {"status": "loading"})
        for path in ("/", "/metrics", "/api/gallery", "/api/loras", "/v1/models", "/api/openapi.json"):
            assert client.get(path).status_code == 200, path


def test_what_needs_the_base_waits_for_it(loading: Served, shelf: Shelf) -> None:
    with loading.client() as client, ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(client.post, "/v1/images/generations", json=ASKED),
            pool.submit(client.post, "/sdapi/v1/txt2img", json=ASKED),
            pool.submit(client.get, "/api/config"),
        ]
        time.sleep(0.3)
        assert not any(one.done() for one in asked)
        shelf.ready.set()
        assert [one.result(20).status_code for one in asked] == [200, 200, 200]
        assert client.get("/healthz").json() == {"status": "ok"}


def test_words_on_a_live_socket_wait_too(loading: Served, shelf: Shelf) -> None:
    with connect(loading.url.replace("http", "ws") + "/live", proxy=None) as live:
        live.send(json.dumps({"sequence": 1, "prompt": "a cat", "settings": {"steps": 1}}))
        with pytest.raises(TimeoutError):
            live.recv(timeout=0.3)
        shelf.ready.set()
        frame = live.recv(timeout=20)
        assert isinstance(frame, bytes)
        assert unpack_frame(frame)[0]["sequence"] == 1


def test_a_stranger_does_not_wait(serve: Serve, shelf: Shelf) -> None:
    served = serve(load=shelf.load)
    with served.client(host="elsewhere.example") as client:
        assert client.post("/v1/images/generations", json=ASKED).status_code in (400, 403, 421)


def test_a_base_that_cannot_be_loaded_stops_the_server(loading: Served, shelf: Shelf) -> None:
    shelf.painter = None
    shelf.ready.set()
    loading.wait_for(lambda: not loading.runs())
    error = loading.studio.engine.load_error
    assert isinstance(error, WeightsError)


def test_a_studio_that_is_loading_can_be_stopped(loading: Served) -> None:
    begun = time.monotonic()
    loading.stop()
    assert time.monotonic() - begun < 10
